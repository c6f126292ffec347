"""The deep feature consistent VAE (Hou et al., 2017) of `003_…`, 4.3: trained on what a frozen network sees, not on pixels.

Encoder 32, 64, 128, 256 with LeakyReLU; decoder of nearest-neighbour interpolation and 3 x 3 convolutions with repeated borders,
as in Hou et al., whose batch normalisation the paper does not mention and which is kept.
"""

from rupantara.models.zoo.protocol import ZooConfig, ZooVAE, leaky_decoder, leaky_encoder

CONFIG = ZooConfig("dfc", 100, (32, 64, 128, 256))


class DFCVAE(ZooVAE):
    """The network of the feature loss; the loss itself is `losses.feature`."""

    def __init__(self, config: ZooConfig = CONFIG) -> None:
        """Build with random weights."""
        hidden = config.channels[-1] * 16
        super().__init__(config, leaky_encoder(config.channels), hidden, leaky_decoder(config, "nearest"))
