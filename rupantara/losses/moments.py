"""Moment matching: made pictures vary from one to the next as photographs do.

Feature matching of Salimans et al. (2016, section 3.1), which compares means, by deviations too, and of pixels.
"""

import torch.nn.functional as F
from torch import Tensor

from rupantara.tensors import Images

GRID = 56
"""Larger pictures are averaged to this side first. Of coarser cells single odd pixels give the deviation that is asked for."""


def moment_distance(made: Images, wanted: Images) -> Tensor:
    """Return how far means and deviations over a batch are from those wanted: a scalar, 0 where they are the same.

    Takes pictures [batch >= 2, 3, height, width] of one shape. Absolute differences at every place are averaged and divided by the
    average deviation wanted. What an error by pixel makes of what it cannot know is the mean, with a deviation near 0; this asks for
    as much variety as there is, and leaves to the error which.
    """
    ours, theirs = _coarse(made), _coarse(wanted)
    spread = theirs.std(0)
    apart = (ours.std(0) - spread).abs().mean() + (ours.mean(0) - theirs.mean(0)).abs().mean()
    return apart / spread.mean().clamp_min(1e-6)


def _coarse(images: Images) -> Images:
    images = images.float()
    return F.adaptive_avg_pool2d(images, GRID) if images.shape[-1] > GRID else images
