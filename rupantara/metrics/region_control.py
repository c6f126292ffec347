"""Region control: how much of what a one-region hybrid changed lies inside that region."""

from dataclasses import dataclass

import torch
from torch import Tensor

from rupantara.landmarks.regions import PART_REGION
from rupantara.metrics.interval import Interval, normal_interval
from rupantara.tensors import Images, PartBoxes

REACH = 1 / 16
"""How far outside its boxes a change still counts as the region's, as a fraction of the side: a decoder blends over a few px."""

QUIET = (0.5 / 127.5) ** 2
"""Mean squared change on [-1, 1] that is no change: half a level of 8 bits."""


def region_mask(boxes: PartBoxes, region: int, size: int, reach: float = REACH) -> Tensor:
    """Return where a region is, bool [batch, size, size]: pixels whose centre lies within `reach` of one of its boxes.

    The decoder's soft masks (`models.placement.part_weights`) lie inside it, rounded at the corners.
    """
    at = (torch.arange(size, device=boxes.device, dtype=torch.float32) + 0.5) / size
    parts = [part for part, owner in enumerate(PART_REGION) if owner == region]
    low, high = boxes[:, parts, :2, None] - reach, boxes[:, parts, 2:, None] + reach
    inside = (at > low) & (at < high)
    return (inside[:, :, 1, :, None] & inside[:, :, 0, None, :]).any(1)


def changed_energy(
    base: Images, changed: Images, boxes: PartBoxes, region: int, moved: PartBoxes | None = None
) -> tuple[Tensor, Tensor]:
    """Return the squared change inside the region's mask and over the whole picture, float64 [batch] each.

    A hybrid that lays the region elsewhere (`moved`) changes both places: the mask is then of both.
    """
    energy = (changed.double() - base.double()).square().sum(1)
    mask = region_mask(boxes, region, energy.shape[-1])
    if moved is not None:
        mask = mask | region_mask(moved, region, energy.shape[-1])
    return (energy * mask).sum((1, 2)), energy.sum((1, 2))


@dataclass(frozen=True)
class RegionControlStats:
    """Sums over hybrids that changed something of the share inside, and how many changed nothing.

    A hybrid that changes nothing has no share: it is counted in `unchanged` and left out of the mean, for as 1 it would flatter
    a decoder that ignores the region's code.
    """

    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    unchanged: int = 0

    @staticmethod
    def update(base: Images, changed: Images, boxes: PartBoxes, region: int) -> "RegionControlStats":
        """Measure hybrids that took one region (index into REGIONS) from a donor; square pictures."""
        inside, whole = changed_energy(base, changed, boxes, region)
        moved = whole > QUIET * base[0].numel()
        shares = inside[moved] / whole[moved]
        return RegionControlStats(len(shares), float(shares.sum()), float((shares**2).sum()), int((~moved).sum()))

    def merge(self, other: "RegionControlStats") -> "RegionControlStats":
        """Add the sums of other hybrids."""
        return RegionControlStats(
            self.count + other.count,
            self.total + other.total,
            self.squares + other.squares,
            self.unchanged + other.unchanged,
        )

    def compute(self) -> Interval:
        """Return the mean share with its 95 % interval; ValueError when fewer than 2 hybrids changed anything."""
        return normal_interval(self.count, self.total, self.squares)
