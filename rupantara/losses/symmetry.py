"""Symmetry loss of frontal faces (`000_…`, III.B)."""

import torch.nn.functional as F
from torch import Tensor

from rupantara.tensors import Images

COARSE_SIDE = 32
"""Side at which faces are compared with their mirror image: hairs and pores are not symmetric on anyone."""


def asymmetry(images: Images) -> Tensor:
    """Return the mean squared difference of each picture from its mirror image at COARSE_SIDE: [batch]."""
    small = F.adaptive_avg_pool2d(images.float(), COARSE_SIDE)
    return ((small - small.flip(3)) ** 2).flatten(1).mean(1)


def excess_asymmetry(outputs: Images, targets: Images) -> Tensor:
    """Return how much more asymmetric outputs are than their targets: [batch].

    The paper gives no formula. Penalizing all asymmetry would wash out side lighting and partings that the photograph has, so only the
    asymmetry that the model adds is penalized.
    """
    return (asymmetry(outputs) - asymmetry(targets)).clamp(min=0)
