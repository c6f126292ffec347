"""The beta-VAE (Higgins et al., 2017) of `003_…`, 4.2: a bottleneck of 32 dimensions.

Four 4 x 4 convolutions of stride 2 without padding (64, 31, 14, 6, 2 px) end in 64 x 2 x 2 = 256 numbers, each convolution with
batch normalisation and ReLU; the decoder mirrors it. What differs from the code that the paper builds on: there the last
layer too has batch normalisation and ReLU before its sigmoid, which cannot give a value below 1/2, so black is grey.
"""

from torch import nn

from rupantara.models.zoo.protocol import ZooConfig, ZooVAE

CONFIG = ZooConfig("beta", 32, (32, 32, 64, 64))


class BetaVAE(ZooVAE):
    """Convolutions down to 2 x 2, transposed convolutions up."""

    def __init__(self, config: ZooConfig = CONFIG) -> None:
        """Build with random weights."""
        c = config.channels
        hidden = c[3] * 4
        encoder = nn.Sequential(
            *_down(3, c[0]), *_down(c[0], c[1]), *_down(c[1], c[2]), *_down(c[2], c[3]), nn.Flatten()
        )
        decoder = nn.Sequential(
            *(nn.Linear(config.latent_dim, hidden), nn.Unflatten(1, (c[3], 2, 2))),
            *(*_up(c[3], c[2]), *_up(c[2], c[1])),
            # 14 px to 31, not 30: the encoder's 31 px lose one.
            *_up(c[1], c[0], output_padding=1),
            *(nn.ConvTranspose2d(c[0], 3, 4, 2), nn.Sigmoid()),
        )
        super().__init__(config, encoder, hidden, decoder)


def _down(before: int, after: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(before, after, 4, 2, bias=False), nn.BatchNorm2d(after), nn.ReLU()


def _up(before: int, after: int, *, output_padding: int = 0) -> tuple[nn.Module, ...]:
    convolution = nn.ConvTranspose2d(before, after, 4, 2, output_padding=output_padding, bias=False)
    return convolution, nn.BatchNorm2d(after), nn.ReLU()
