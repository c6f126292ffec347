"""How much the variations of one face differ from each other: the mean distance over all pairs."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from rupantara.metrics.interval import Interval, normal_interval
from rupantara.tensors import Images

Distance = Callable[[Images, Images], Tensor]
"""Two batches of pictures -> the distance of each pair [batch], as `pixel_distance` or a perceptual one."""

PAIRS = 32
"""Pairs measured at a time."""


def pixel_distance(a: Images, b: Images) -> Tensor:
    """Return the root mean squared difference of each pair on the scale [0, 1]: [batch]."""
    return ((a.float() - b.float()) / 2).square().flatten(1).mean(1).sqrt()


def mean_pairwise(variations: Images, distance: Distance = pixel_distance) -> float:
    """Return the mean distance over all N (N - 1) / 2 pairs of the variations of one face; ValueError for fewer than 2."""
    if len(variations) < 2:
        raise ValueError(f"diversity needs at least 2 variations of a face, got {len(variations)}")
    pairs = torch.tensor(list(combinations(range(len(variations)), 2)), device=variations.device)
    found = [distance(variations[part[:, 0]], variations[part[:, 1]]) for part in pairs.split(PAIRS)]
    return float(torch.cat(found).double().mean())


@dataclass(frozen=True)
class DiversityStats:
    """Sums over faces of the mean pairwise distance of each."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    @staticmethod
    def update(variations: Images, distance: Distance = pixel_distance) -> "DiversityStats":
        """Measure the variations of one face."""
        value = mean_pairwise(variations, distance)
        return DiversityStats(1, value, value**2)

    def merge(self, other: "DiversityStats") -> "DiversityStats":
        """Add the sums of other faces."""
        return DiversityStats(self.count + other.count, self.total + other.total, self.squares + other.squares)

    def compute(self) -> Interval:
        """Return the mean over faces with its 95 % interval; ValueError for fewer than 2 faces."""
        return normal_interval(self.count, self.total, self.squares)
