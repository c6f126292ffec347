"""Perceptual distance in the manner of LPIPS (Zhang et al., 2018, eq. 1), on the features of any net.

On `models.squeezenet`, whose weights are DeepScale's for Caffe, it is NOT the published LPIPS: the linear heads of LPIPS v0.1
were fitted to torchvision's SqueezeNet. Report it as `lpips_caffe_squeezenet`; numbers compare among themselves only.
"""

import io
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from rupantara.tensors import Images

NAME = "lpips_caffe_squeezenet"
"""What tables call the distance when `features` is that of `models.squeezenet`."""

Features = Callable[[Images], Sequence[Tensor]]
"""Images -> activations [batch, channels, height, width] of some depths, as `SqueezeNet.features`."""

HEADS = tuple(f"lin{i}.model.1.weight" for i in range(7))
CHANNELS = (64, 128, 256, 384, 384, 512, 512)


def lpips_caffe_squeezenet(features: Features, a: Images, b: Images, heads: Sequence[Tensor] | None = None) -> Tensor:
    """Return the distance of each pair of pictures [batch]: 0 for equal ones, differentiable. NOT true LPIPS, see the module.

    At every depth channels are scaled to unit length at each position, squared differences weighted by `heads` (`load_heads`)
    or, without, just summed as in LPIPS's unweighted form (then at most 2 a depth), averaged over positions, and the depths
    added up.
    """
    pairs = list(zip(features(a), features(b), strict=True))
    weights = [x.new_ones(x.shape[1]) for x, _ in pairs] if heads is None else heads
    total = [_distance(x, y, w) for (x, y), w in zip(pairs, weights, strict=True)]
    return torch.stack(total).sum(0)


def _distance(x: Tensor, y: Tensor, weights: Tensor) -> Tensor:
    squared = (F.normalize(x.float(), dim=1, eps=1e-10) - F.normalize(y.float(), dim=1, eps=1e-10)) ** 2
    return torch.einsum("bchw,c->b", squared, weights.to(squared)) / (x.shape[2] * x.shape[3])


def load_heads(data: bytes) -> list[Tensor]:
    """Read LPIPS v0.1's `squeeze.pth`: weights >= 0 [channels] of the seven depths; ValueError for any other file."""
    state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    expected = {name: (1, channels, 1, 1) for name, channels in zip(HEADS, CHANNELS, strict=True)}
    if shapes != expected:
        raise ValueError(f"heads must be those of LPIPS's squeeze.pth {expected}, got {shapes}")
    return [state[name].float().flatten() for name in HEADS]
