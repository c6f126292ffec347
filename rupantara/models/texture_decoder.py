"""The texture decoder of `001_…`, 4.4: VGG-16's convolutions mirrored, from a vector to a face warped to the mean landmarks.

A dense layer to maps of 7 x 7, then for each of VGG's blocks, last one first, a transposed convolution that doubles the side (the
block's pooling and one of its convolutions in one) and the block's other convolutions, with batch normalisation after each block;
a 1 x 1 convolution gives RGB. The paper counts 60,510,983 trainable parameters at 4,096 inputs and 224²; its dense layer's width is
not given, and 204 channels of 7 x 7 come to 60.4 million.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from rupantara.models.landmark_decoder import Standardize
from rupantara.tensors import Images

START = 7
"""Side of the maps after the dense layer."""


@dataclass(frozen=True)
class TextureDecoderConfig:
    """Sizes: a stage doubles the side, by `channels` maps and `convolutions` plain ones after the transposed one."""

    input_dim: int = 4096
    start_channels: int = 204
    channels: tuple[int, ...] = (512, 512, 256, 128, 64)
    convolutions: tuple[int, ...] = (2, 2, 2, 1, 1)

    @property
    def side(self) -> int:
        """Return the side of the texture, px."""
        return START * 2 ** len(self.channels)


PRESETS = {
    "224": TextureDecoderConfig(),
    "112": TextureDecoderConfig(start_channels=128, channels=(256, 192, 128, 64), convolutions=(1, 1, 1, 1)),
}
"""The paper's size, and one that two CPU cores train."""


class TextureDecoder(nn.Module):
    """Standardized vector to RGB in [-1, 1]."""

    def __init__(self, config: TextureDecoderConfig) -> None:
        """Build with random weights; ValueError where a stage lacks its number of convolutions."""
        super().__init__()
        if len(config.channels) != len(config.convolutions) or not config.channels:
            raise ValueError(
                f"channels and convolutions must be of as many stages, got {config.channels} and {config.convolutions}"
            )
        self.config = config
        self.standardize = Standardize(config.input_dim)
        self.dense = nn.Linear(config.input_dim, config.start_channels * START**2)
        layers: list[nn.Module] = [nn.ReLU()]
        before = config.start_channels
        for width, count in zip(config.channels, config.convolutions, strict=True):
            # Kernel 4 at stride 2: every pixel is reached as often, so no chequerboard.
            layers += [nn.ConvTranspose2d(before, width, 4, 2, 1), nn.ReLU()]
            for _ in range(count):
                layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
            layers.append(nn.BatchNorm2d(width))
            before = width
        self.layers = nn.Sequential(*layers, nn.Conv2d(before, 3, 1), nn.Tanh())

    def forward(self, vectors: Tensor) -> Images:
        """Decode vectors [batch, input_dim] to textures [batch, 3, side, side]."""
        maps = self.dense(self.standardize(vectors)).unflatten(1, (-1, START, START))
        return self.layers(maps).float()
