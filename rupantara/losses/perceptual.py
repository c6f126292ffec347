"""Perceptual loss: distance between the features that an ImageNet network has of two pictures (Johnson et al., 2016; Hou et al., 2017)."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from rupantara.tensors import Images

Features = Callable[[Images], list[Tensor]]
"""Maps pictures to activations [batch, channels, height, width] of several depths, finest first; the network normalises pictures itself."""


def perceptual_distance(
    features: Features, outputs: Images, targets: Images, depths: Sequence[int] | None = None
) -> Tensor:
    """Return the distance of each picture: [batch].

    As in LPIPS (Zhang et al., 2018, eq. 1) without its learnt weights: activations are scaled to unit length over channels,
    squared differences summed over channels, averaged over positions and over the depths. 0 to 2.
    """
    with torch.no_grad():
        wanted = features(targets)
    found = features(outputs)
    chosen = range(len(found)) if depths is None else depths
    distances = [((_unit(found[i]) - _unit(wanted[i])) ** 2).sum(1).mean((1, 2)) for i in chosen]
    return torch.stack(distances).mean(0)


def _unit(x: Tensor) -> Tensor:
    x = x.float()
    return x * torch.rsqrt((x**2).sum(1, keepdim=True) + 1e-8)
