"""The plain VAE of `003_…`, 4.4 (PVAE of Hou et al., 2017): batch normalisation, LeakyReLU, 100 dimensions, squared error.

Encoder 32, 64, 128, 256; decoder of upsampling layers and convolutions, here bilinear, which leaves no blocks where the pixels
are all that the loss sees.
"""

from rupantara.models.zoo.protocol import ZooConfig, ZooVAE, leaky_decoder, leaky_encoder

CONFIG = ZooConfig("plain", 100, (32, 64, 128, 256))


class PlainVAE(ZooVAE):
    """Convolutions down, upsampling and convolutions up."""

    def __init__(self, config: ZooConfig = CONFIG) -> None:
        """Build with random weights."""
        hidden = config.channels[-1] * 16
        super().__init__(config, leaky_encoder(config.channels), hidden, leaky_decoder(config, "bilinear"))
