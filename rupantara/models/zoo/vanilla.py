"""The vanilla VAE (Kingma and Welling, 2014) of `003_…`, 4.1.

The paper says no more of this network than that it is convolutional; sizes here are the other three's: channels 32 to 256,
128 latent dimensions, plain ReLU, transposed convolutions, no batch normalisation.
"""

from itertools import pairwise

from torch import nn

from rupantara.models.zoo.protocol import ZooConfig, ZooVAE

CONFIG = ZooConfig("vanilla", 128, (32, 64, 128, 256))


class VanillaVAE(ZooVAE):
    """Four convolutions down, four transposed convolutions up."""

    def __init__(self, config: ZooConfig = CONFIG) -> None:
        """Build with random weights."""
        down = zip((3, *config.channels), config.channels, strict=False)
        up = tuple(reversed(config.channels))
        encoder = nn.Sequential(
            *(layer for a, b in down for layer in (nn.Conv2d(a, b, 4, 2, 1), nn.ReLU())),
            nn.Flatten(),
        )
        decoder = nn.Sequential(
            *(nn.Linear(config.latent_dim, up[0] * 16), nn.ReLU(), nn.Unflatten(1, (up[0], 4, 4))),
            *(layer for a, b in pairwise(up) for layer in (nn.ConvTranspose2d(a, b, 4, 2, 1), nn.ReLU())),
            *(nn.ConvTranspose2d(up[-1], 3, 4, 2, 1), nn.Sigmoid()),
        )
        super().__init__(config, encoder, up[0] * 16, decoder)
