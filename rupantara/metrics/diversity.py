"""How much the variations of one face differ from each other: the mean distance over all pairs."""

from collections.abc import Callable
from itertools import combinations

import torch
from torch import Tensor

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
