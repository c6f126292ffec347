"""Deep feature consistency (Hou et al., 2017, eq. 2 and 3): how far apart two pictures are in a frozen network's activations."""

from collections.abc import Sequence

import torch
from torch import Tensor

from rupantara.losses.perceptual import Features
from rupantara.tensors import Images

SHALLOW = (0, 1, 2)
"""Depths compared, as Hou et al.'s best, VAE-123: the first three."""


def feature_error(features: Features, outputs: Images, targets: Images, depths: Sequence[int] = SHALLOW) -> Tensor:
    """Return the squared difference of the activations relative to the targets' own mean square, averaged over depths: [batch].

    Hou et al. sum (phi(x) - phi(x̂))² / (2 C W H) over depths. Here each depth is also divided by the mean of phi(x)² over the batch,
    so that the scale of its activations gives no depth or network more weight: 0 = equal, about 1 = nothing in common. `features`
    takes pictures in [-1, 1] and normalises them itself.
    """
    with torch.no_grad():
        wanted = features(targets)
    found = features(outputs)
    errors = []
    for depth in depths:
        a, b = found[depth].float(), wanted[depth].float()
        errors.append(((a - b) ** 2).flatten(1).mean(1) / (b**2).mean().clamp(min=1e-8))
    return torch.stack(errors).mean(0)
