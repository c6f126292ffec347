"""The texture decoder of `001_…`, 4.4: VGG-16's convolutions mirrored, from a vector to a face warped to the mean landmarks.

A dense layer to maps of 7 x 7, then for each of VGG's blocks, last one first, a transposed convolution that doubles the side (the
block's pooling and one of its convolutions in one) and the block's other convolutions, with batch normalisation after each block;
a 1 x 1 convolution gives RGB. The convolutions start from smooth kernels. The paper counts 60,510,983 trainable parameters at 4,096
inputs and 224²; its dense layer's width is not given, and 204 channels of 7 x 7 come to 60.4 million.

With `linear_rank`, one thing differs from the paper: the convolutions add to a linear path, which a reduced-rank ridge regression
initializes. It is linear in the vector or, with `kernel_centers`, in its kernel features, and then the dense layer also sees the path's
coordinates.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rupantara.models.kernel_features import KernelFeatures
from rupantara.models.landmark_decoder import POINTS, Standardize
from rupantara.tensors import Images

START = 7
"""Side of the maps after the dense layer."""


@dataclass(frozen=True)
class TextureDecoderConfig:
    """Sizes: a stage doubles the side, by `channels` maps and `convolutions` plain ones after the transposed one.

    `linear_rank` > 0 adds a linear path of that rank, a picture of `linear_side` px enlarged; 0 is the paper's network.
    `kernel_centers` > 0 makes it linear in as many kernel features; `kernel_concentration` is how fast they fall with the
    cosine (of MobileFaceNet's vectors 3 and 4 have the least squared error of textures, 3 shows sex better; 2, 6 and 8 were tried).
    """

    input_dim: int = 4096
    start_channels: int = 204
    channels: tuple[int, ...] = (512, 512, 256, 128, 64)
    convolutions: tuple[int, ...] = (2, 2, 2, 1, 1)
    linear_rank: int = 0
    linear_side: int = 0
    kernel_centers: int = 0
    kernel_concentration: float = 3.0

    @property
    def side(self) -> int:
        """Return the side of the texture, px."""
        return START * 2 ** len(self.channels)


PRESETS = {
    "224": TextureDecoderConfig(),
    "112": TextureDecoderConfig(
        start_channels=96, channels=(192, 128, 64, 32), convolutions=(1, 1, 1, 1), linear_rank=256, linear_side=56
    ),
    "56": TextureDecoderConfig(
        start_channels=64, channels=(96, 64, 32), convolutions=(1, 1, 1), linear_rank=64, linear_side=28
    ),
}
"""The paper's size, one that two CPU cores train, and one for tests."""


SMOOTH = {3: (1.0, 2.0, 1.0), 4: (1.0, 3.0, 3.0, 1.0)}
"""Weights along one axis of the kernels that convolutions start from; the transposed one's enlarges bilinearly."""


@torch.no_grad()
def start_smooth(layer: nn.Conv2d | nn.ConvTranspose2d) -> None:
    """Initialize by random mixtures of channels through one smooth kernel: [out, in, 3, 3], or [in, out, 4, 4] at stride 2.

    Kernels that are random at every position paint a pattern into each cell of the first maps, and a short training keeps it: it shows as
    hatching where pictures vary most. The scale is that of He et al. (2015), which assumes independent positions; smooth maps come out
    larger, and the batch normalisation after each block corrects that.
    """
    axis = torch.tensor(SMOOTH[layer.kernel_size[0]])
    kernel = axis[:, None] * axis / axis.square().sum()
    # A pixel is reached by every weight of a plain kernel, by one of four of a transposed one at stride 2.
    reached = layer.in_channels / (4 if isinstance(layer, nn.ConvTranspose2d) else 1)
    mixtures = torch.randn(layer.weight.shape[:2]) * (2 / reached) ** 0.5
    layer.weight.copy_(mixtures[:, :, None, None] * kernel)


class RegressionPath(nn.Module):
    """Maps features to a few coordinates, and these to a picture, each by a matrix and a bias; pictures are 0 until `fit`."""

    def __init__(self, input_dim: int, rank: int, side: int) -> None:
        """Build for features [batch, input_dim] and pictures [batch, 3, side, side]."""
        super().__init__()
        self.side = side
        self.down, self.up = nn.Linear(input_dim, rank), nn.Linear(rank, 3 * side * side)
        for parameter in self.up.parameters():
            nn.init.zeros_(parameter)

    @torch.no_grad()
    def fit(self, factors: Mapping[str, Tensor]) -> None:
        """Take `down` [input_dim, rank], `shift` [rank], `up` [rank, 3 side²] and `picture` [3 side²]."""
        for layer, weight, bias in ((self.down, "down", "shift"), (self.up, "up", "picture")):
            layer.weight.copy_(factors[weight].T)
            layer.bias.copy_(factors[bias])

    def coordinates(self, features: Tensor) -> Tensor:
        """Return coordinates [batch, rank], float32; after `fit` of mean 0 and deviation 1 over the rows fitted on, less over others."""
        with torch.autocast(features.device.type, enabled=False):
            return self.down(features.float())

    def forward(self, coordinates: Tensor, side: int) -> Images:
        """Decode coordinates to pictures of a side."""
        with torch.autocast(coordinates.device.type, enabled=False):
            small = self.up(coordinates).unflatten(1, (3, self.side, self.side))
            return (
                small if self.side == side else F.interpolate(small, (side, side), mode="bicubic", align_corners=False)
            )


class TextureDecoder(nn.Module):
    """Decodes a vector to RGB in [-1, 1] (about so with a linear path); `mean_points` [68, 2] are every texture's landmarks."""

    mean_points: Tensor

    def __init__(self, config: TextureDecoderConfig) -> None:
        """Build with random weights; ValueError where a stage lacks its number of convolutions, or a linear path its side."""
        super().__init__()
        if len(config.channels) != len(config.convolutions) or not config.channels:
            raise ValueError(
                f"channels and convolutions must be of as many stages, got {config.channels} and {config.convolutions}"
            )
        if config.linear_rank and (config.linear_side < 1 or config.side % config.linear_side):
            raise ValueError(
                f"linear_side must divide the side {config.side} where linear_rank is above 0, got {config.linear_side}"
            )
        if config.kernel_centers and not config.linear_rank:
            raise ValueError(f"kernel_centers needs linear_rank above 0, got {config.kernel_centers} and 0")
        self.config = config
        self.register_buffer("mean_points", torch.zeros(POINTS, 2))
        self.standardize = Standardize(config.input_dim)
        seen = config.input_dim + (config.linear_rank if config.kernel_centers else 0)
        self.dense = nn.Linear(seen, config.start_channels * START**2)
        layers: list[nn.Module] = [nn.ReLU()]
        before = config.start_channels
        for width, count in zip(config.channels, config.convolutions, strict=True):
            # Kernel 4 at stride 2: every pixel is reached as often, so no chequerboard.
            layers += [nn.ConvTranspose2d(before, width, 4, 2, 1), nn.ReLU()]
            for _ in range(count):
                layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
            layers.append(nn.BatchNorm2d(width))
            before = width
        for layer in layers:
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                start_smooth(layer)
        last = nn.Conv2d(before, 3, 1)
        self.layers = nn.Sequential(*layers, last)
        self.linear, self.kernel = None, None
        if config.linear_rank:
            if config.kernel_centers:
                self.kernel = KernelFeatures(config.input_dim, config.kernel_centers, config.kernel_concentration)
            features = config.kernel_centers or config.input_dim
            self.linear = RegressionPath(features, config.linear_rank, config.linear_side)
            # The convolutions start from adding nothing to the linear path.
            for parameter in last.parameters():
                nn.init.zeros_(parameter)

    def forward(self, vectors: Tensor) -> Images:
        """Decode vectors [batch, input_dim] to textures [batch, 3, side, side]."""
        standard = self.standardize(vectors)
        if self.linear is None:
            return torch.tanh(self._paint(standard))
        if self.kernel is None:
            return self._paint(standard) + self.linear(self.linear.coordinates(standard), self.config.side)
        coordinates = self.linear.coordinates(self.kernel(standard))
        return self._paint(torch.cat([standard, coordinates], dim=1)) + self.linear(coordinates, self.config.side)

    def _paint(self, seen: Tensor) -> Images:
        """Decode the dense layer's input by the convolutions alone."""
        return self.layers(self.dense(seen).unflatten(1, (-1, START, START))).float()
