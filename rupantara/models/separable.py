"""Separable convolutions in TensorFlow's layout and padding: the parts of face-api's networks."""

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

MEAN = (122.782, 117.001, 104.298)
"""Mean of the RGB levels that face-api's networks take off before they divide by 255."""


def centred(faces: Tensor) -> Tensor:
    """Turn RGB [batch, 3, h, w] in 0..255 into what face-api's networks see."""
    return (faces - faces.new_tensor(MEAN).view(1, 3, 1, 1)) / 255.0


def pad_same(x: Tensor, size: int, stride: int, value: float = 0.0) -> Tensor:
    """Pad as TensorFlow's "same": the output has a side of ceil(side / stride), and an odd row goes below and to the right."""
    whole = [max((-(-side // stride) - 1) * stride + size - side, 0) for side in x.shape[-2:]]
    top, left = whole[0] // 2, whole[1] // 2
    return F.pad(x, (left, whole[1] - left, top, whole[0] - top), value=value)


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow's "same"."""

    def forward(self, input: Tensor) -> Tensor:
        """Convolve."""
        x = pad_same(input, self.kernel_size[0], self.stride[0])
        return F.conv2d(x, self.weight, self.bias, self.stride, groups=self.groups)


class SeparableConv(nn.Module):
    """A 3 x 3 convolution of each channel, then a 1 x 1 convolution with bias."""

    def __init__(self, inside: int, outside: int, stride: int = 1) -> None:
        super().__init__()
        self.depthwise = SameConv(inside, inside, 3, stride, groups=inside, bias=False)
        self.pointwise = nn.Conv2d(inside, outside, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve."""
        return self.pointwise(self.depthwise(x))


def tensors_of(published: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """Rename and turn TensorFlow.js's tensors: `a/b/filters` [h, w, in, out] to `a.b.weight` [out, in, h, w], and so on."""
    out = {}
    for name, array in published.items():
        value = torch.from_numpy(np.asarray(array, np.float32))
        path, _, kind = name.replace("/", ".").rpartition(".")
        if kind in ("filters", "pointwise_filter"):
            value = value.permute(3, 2, 0, 1)
        elif kind == "depthwise_filter":
            value = value.permute(2, 3, 0, 1)
        elif kind == "weights" and value.ndim == 2:
            value = value.T
        part = {"pointwise_filter": ".pointwise", "depthwise_filter": ".depthwise"}.get(kind, "")
        ends = {"bias": "bias", "biases": "bias"}
        out[f"{path}{part}.{ends.get(kind, 'weight')}"] = value.contiguous()
    # The bias of a separable convolution is its pointwise part's.
    separable = {name.removesuffix(".pointwise.weight") for name in out if name.endswith(".pointwise.weight")}
    return {
        (f"{name.removesuffix('.bias')}.pointwise.bias" if name.removesuffix(".bias") in separable else name): value
        for name, value in out.items()
    }
