"""Landmarks of animals' heads: heat maps of six points, and where heads are, over SqueezeNet's features.

SqueezeNet v1.1 (Iandola et al., 2016) up to fire9, a pyramid (Lin et al., "Feature Pyramid Networks", 2017) with two dilated
convolutions at its deepest, and two heads: heat maps of points at a quarter of the input's side, and at an eighth, as in CenterNet
(Zhou et al., "Objects as Points", 2019), whether a head's centre is here, its box, where its points are, which are visible and
which way it looks. 1.26 M parameters.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rupantara.models.squeezenet import BGR_MEAN, FIRES, POOL_BEFORE, Fire
from rupantara.schema import POINTS
from rupantara.tensors import Images

MIRRORED = (1, 0, 2, 3, 5, 4)
"""Where each of POINTS comes from after mirroring (nose = middle of its pad, mouth = of the opening or closed line, ears = tips)."""

VIEWS = ("front", "left", "right", "profile")
"""Which way a head looks, as seen in the picture."""

SIDE = 224
"""Side of the square that the network was trained on."""

POINT_STRIDE, CENTRE_STRIDE = 4, 8
UNIT_PX = 32.0
"""Boxes and offsets are counted in this many pixels of the input."""

WIDTH, FINE_WIDTH = 96, 64
DENSE = 1 + 4 + 2 * len(POINTS) + len(POINTS) + len(VIEWS)


class Maps(NamedTuple):
    """What the network says of pictures [batch, 3, h, w]; maps of points are a quarter of the side, the others an eighth."""

    points: Tensor
    """Logits [batch, 6, h / 4, w / 4] that a point is here."""
    centre: Tensor
    """Logits [batch, h / 8, w / 8] that the middle between eyes and nose of a head is here."""
    box: Tensor
    """Distances left, top, right, bottom from the cell to the head's box, in UNIT_PX [batch, 4, h / 8, w / 8]."""
    offsets: Tensor
    """From the cell to each point, x then y in UNIT_PX [batch, 6, 2, h / 8, w / 8]."""
    visible: Tensor
    """Logits that each point is seen [batch, 6, h / 8, w / 8]."""
    view: Tensor
    """Logits of VIEWS [batch, 4, h / 8, w / 8]."""


def convolution(inside: int, outside: int, size: int = 3, dilation: int = 1) -> nn.Sequential:
    """Convolve, normalise, activate."""
    padding = dilation * (size // 2)
    conv = nn.Conv2d(inside, outside, size, padding=padding, dilation=dilation, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outside), nn.ReLU())


class Body(nn.Module):
    """SqueezeNet without its classes; its first convolution is padded, so that sides halve evenly."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, stride=2, padding=1)
        self.fires = nn.ModuleList(Fire(*sizes) for sizes in FIRES)
        self.register_buffer("mean", torch.tensor(BGR_MEAN).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Images) -> tuple[Tensor, Tensor, Tensor]:
        """Return features at 1/4 [128], 1/8 [256] and 1/16 [384 + 512 channels] of the side, which is a multiple of 32."""
        x = F.relu(self.conv1((images.flip(1) + 1) * 127.5 - self.mean))
        found = []
        for i, fire in enumerate(self.fires):
            x = fire(F.max_pool2d(x, 3, 2, ceil_mode=True) if i in POOL_BEFORE else x)
            found.append(x)
        return found[1], found[3], torch.cat([found[5], found[7]], 1)


class AnimalLandmarks(nn.Module):
    """`Images` whose sides are multiples of 32 -> `Maps`."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Body()
        self.deep = convolution(896, WIDTH, 1)
        self.around = nn.ModuleList(convolution(WIDTH, WIDTH, dilation=dilation) for dilation in (2, 4))
        self.middle_in = convolution(256, WIDTH, 1)
        self.middle = convolution(WIDTH, WIDTH)
        self.fine_in = convolution(128, FINE_WIDTH, 1)
        self.fine_from = convolution(WIDTH, FINE_WIDTH, 1)
        self.fine = nn.Sequential(convolution(FINE_WIDTH, FINE_WIDTH), convolution(FINE_WIDTH, FINE_WIDTH))
        self.points = nn.Conv2d(FINE_WIDTH, len(POINTS), 1)
        self.heads = nn.Sequential(convolution(WIDTH, WIDTH), nn.Conv2d(WIDTH, DENSE, 1))
        # Nearly all cells are empty, from the beginning.
        self.points.bias = nn.Parameter(torch.full((len(POINTS),), -4.0))

    def forward(self, images: Images) -> Maps:
        """Look at pictures once, at the size they have."""
        fine, middle, deep = self.body(images)
        x = self.deep(deep)
        for block in self.around:
            x = x + block(x)
        middle = self.middle(self.middle_in(middle) + _up(x))
        fine = self.fine(self.fine_in(fine) + _up(self.fine_from(middle)))
        centre, box, offsets, visible, view = self.heads(middle).split((1, 4, 12, 6, 4), 1)
        offsets = offsets.unflatten(1, (len(POINTS), 2))
        return Maps(self.points(fine), centre[:, 0], F.softplus(box), offsets, visible, view)


def _up(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
