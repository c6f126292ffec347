"""Region control: how much of what a one-region hybrid changed lies inside that region."""

import torch
from torch import Tensor

from rupantara.landmarks.regions import PART_REGION
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
