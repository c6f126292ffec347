"""Symmetry loss of frontal faces (`000_…`, III.B)."""

import torch.nn.functional as F
from torch import Tensor

from rupantara.tensors import Images

COARSE_SIDE = 32
"""Faces are compared with their mirror image at this side: hairs and pores are nobody's symmetry."""


def asymmetry(images: Images) -> Tensor:
    """Return the mean squared difference of each picture from its mirror image at COARSE_SIDE: [batch]."""
    small = F.adaptive_avg_pool2d(images.float(), COARSE_SIDE)
    return ((small - small.flip(3)) ** 2).flatten(1).mean(1)


def excess_asymmetry(outputs: Images, targets: Images) -> Tensor:
    """Return how much more asymmetric outputs are than their targets: [batch].

    The paper gives no formula. The plain difference from the mirror image would wash out light from one side and partings that
    the photograph has; what a model adds of asymmetry is what no face asked for.
    """
    return (asymmetry(outputs) - asymmetry(targets)).clamp(min=0)
