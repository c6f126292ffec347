"""dlib's identity network (D. King, dlib_face_recognition_resnet_model_v1, 2017; public domain), in face-api's tensors.

A residual network of 29 convolutions (He et al., 2015, its filters halved) to 128 numbers. Euclidean distance: one person below 0.6.
"""

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rupantara.models.separable import centred, tensors_of

SIDE, DIM = 150, 128
SAME_PERSON = 0.6
"""Distance of two vectors below which dlib takes two faces for one person's."""

TEMPLATE = ((46.3, 44.6), (101.8, 45.1), (74.5, 77.3), (48.9, 101.8), (98.5, 102.1))
"""Where the five keypoints lie in the input, px: YuNet's points in dlib's own chips, averaged (see the weights' README)."""

BLOCKS = (
    *((f"conv32_{i}", 32, 32) for i in (1, 2, 3)),
    ("conv64_down", 32, 64),
    *((f"conv64_{i}", 64, 64) for i in (1, 2, 3)),
    ("conv128_down", 64, 128),
    *((f"conv128_{i}", 128, 128) for i in (1, 2)),
    ("conv256_down", 128, 256),
    *((f"conv256_{i}", 256, 256) for i in (1, 2)),
    ("conv256_down_out", 256, 256),
)
"""(published name, channels in, channels out) of the blocks in order; those named `down` halve the side."""


class ScaledConvolution(nn.Module):
    """Convolution, then a scale and a shift of each channel."""

    def __init__(self, inside: int, outside: int, size: int, stride: int, padding: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inside, outside, size, stride, padding)
        self.scale = nn.Module()
        self.scale.register_parameter("weight", nn.Parameter(torch.ones(outside)))
        self.scale.register_parameter("bias", nn.Parameter(torch.zeros(outside)))

    def forward(self, x: Tensor) -> Tensor:
        """Convolve and scale."""
        weight, bias = self.scale.get_parameter("weight"), self.scale.get_parameter("bias")
        return self.conv(x) * weight.view(1, -1, 1, 1) + bias.view(1, -1, 1, 1)


class Residual(nn.Module):
    """Two 3 x 3 layers beside the input; one that halves the side sees it averaged, and lacking channels and rows filled by zeros."""

    def __init__(self, inside: int, outside: int, *, down: bool) -> None:
        super().__init__()
        self.conv1 = ScaledConvolution(inside, outside, 3, 2 if down else 1, 0 if down else 1)
        self.conv2 = ScaledConvolution(outside, outside, 3, 1, 1)
        self._down = down

    def forward(self, x: Tensor) -> Tensor:
        """Return the activated sum."""
        y = self.conv2(F.relu(self.conv1(x)))
        beside = F.avg_pool2d(x, 2, 2) if self._down else x
        return F.relu(_filled(y, beside) + _filled(beside, y))


def _filled(x: Tensor, other: Tensor) -> Tensor:
    """Append zeros where another tensor has more channels, rows or columns."""
    channels, rows, columns = (max(b - a, 0) for a, b in zip(x.shape[1:], other.shape[1:], strict=True))
    return F.pad(x, (0, columns, 0, rows, 0, channels))


class DlibIdentity(nn.Module):
    """RGB faces [batch, 3, 150, 150] in 0..255, aligned to TEMPLATE -> vectors [batch, 128]; 5.6 M parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.conv32_down = ScaledConvolution(3, 32, 7, 2, 0)
        for name, inside, outside in BLOCKS:
            self.add_module(name, Residual(inside, outside, down="down" in name))
        self.fc = nn.Linear(256, DIM, bias=False)

    def forward(self, faces: Tensor) -> Tensor:
        """Embed faces; mean and scale are inside."""
        x = F.max_pool2d(F.relu(self.conv32_down(centred(faces))), 3, 2)
        for name, _, _ in BLOCKS:
            x = self.get_submodule(name)(x)
        return self.fc(x.mean((2, 3)))


def from_published(published: Mapping[str, np.ndarray]) -> DlibIdentity:
    """Build the network; raise RuntimeError for tensors that do not fit."""
    tensors = tensors_of(published)
    if "fc" in published:
        # Its one tensor has no layer's name of its own.
        tensors.pop(".weight", None)
        tensors["fc.weight"] = torch.from_numpy(np.asarray(published["fc"], np.float32)).T.contiguous()
    model = DlibIdentity()
    model.load_state_dict(tensors)
    return model.eval().requires_grad_(False)
