"""Moment matching: generated pictures should vary from one to the next as photographs do.

This is the feature matching of Salimans et al. (2016, section 3.1) on pixels, with standard deviations compared as well as means.
"""

import torch.nn.functional as F
from torch import Tensor

from rupantara.tensors import Images

GRID = 56
"""Larger pictures are averaged to this side first. On a coarser grid, a few odd pixels would be enough to reach the standard deviation."""


def moment_distance(made: Images, wanted: Images) -> Tensor:
    """Return how far a batch's means and standard deviations are from the targets': a scalar, 0 where they are equal.

    Takes pictures [batch >= 2, 3, height, width] of one shape. The absolute differences of all pixels are averaged and divided by the
    targets' average standard deviation. A pixel-wise error makes a model paint the mean of what it cannot know, which varies too
    little; this loss asks for as much variety as the targets have.
    """
    ours, theirs = _coarse(made), _coarse(wanted)
    spread = theirs.std(0)
    apart = (ours.std(0) - spread).abs().mean() + (ours.mean(0) - theirs.mean(0)).abs().mean()
    return apart / spread.mean().clamp_min(1e-6)


def _coarse(images: Images) -> Images:
    images = images.float()
    return F.adaptive_avg_pool2d(images, GRID) if images.shape[-1] > GRID else images
