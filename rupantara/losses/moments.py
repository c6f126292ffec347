"""Moment matching: made pictures vary from one to the next as photographs do.

Feature matching of Salimans et al. (2016, section 3.1), which compares means, by deviations too.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

GRID = 14
"""Maps are averaged to at most this side first: moments of a batch are noisy pixel by pixel."""


def moment_distance(made: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """Return how far means and deviations over a batch are from those wanted: a scalar, 0 where they are the same.

    Takes maps [batch >= 2, channels, height, width], pairwise of one shape. Absolute differences at every place of every channel are
    averaged and divided by the average deviation wanted, then averaged over the maps. What an error by pixel makes of what it cannot
    know is the mean, with a deviation near 0; this asks for as much variety as there is, and leaves to the error which.
    """
    total = made[0].new_zeros((), dtype=made[0].float().dtype)
    for ours, theirs in zip(made, wanted, strict=True):
        a, b = _coarse(ours), _coarse(theirs)
        spread = b.std(0)
        apart = (a.std(0) - spread).abs().mean() + (a.mean(0) - b.mean(0)).abs().mean()
        total = total + apart / spread.mean().clamp_min(1e-6)
    return total / len(made)


def _coarse(maps: Tensor) -> Tensor:
    maps = maps.float()
    return F.adaptive_avg_pool2d(maps, GRID) if maps.shape[-1] > GRID else maps
