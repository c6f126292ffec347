"""Affinity of faces to species by region: mean, greatest and 95th percentile cosine (*Rupantara*, III.E)."""

import numpy as np

from rupantara.bank.index import UnitSums
from rupantara.types import Vectors

PERCENTILE = 0.95


def species_means(parts: list[UnitSums], region: str) -> tuple[list[str], Vectors, np.ndarray]:
    """Merge shards' moments: (species, sorted), mean unit vectors [species, dim], counts [species]."""
    names = sorted({species for part in parts for r, species in part.counts if r == region})
    counts = np.array([sum(part.counts.get((region, s), 0) for part in parts) for s in names])
    sums = [sum(part.sums[region, s] for part in parts if (region, s) in part.sums) for s in names]
    return names, np.stack(sums) / counts[:, None], counts


def mean_affinity(queries: Vectors, means: Vectors) -> np.ndarray:
    """Return the mean cosine of unit queries [n, dim] with each species' features: float32 [n, species].

    The mean of dot products is the dot product with the mean: exact but for float32's rounding (1e-7), whatever the bank's size.
    """
    return np.asarray(queries, np.float32) @ np.asarray(means, np.float32).T


def top_needed(count: int) -> int:
    """Return how many of the greatest of `count` values decide their 95th percentile (linear interpolation)."""
    return count - int(np.floor(PERCENTILE * (count - 1)))


def percentile_of_top(top: np.ndarray, count: int) -> np.ndarray:
    """Return the 95th percentile of `count` values from their `top_needed` greatest [n, >= needed], sorted descending."""
    position = PERCENTILE * (count - 1)
    low = int(np.floor(position))
    below, above = top[:, count - 1 - low], top[:, max(count - 2 - low, 0)]
    return below + (above - below) * (position - low)


EXACT_ROWS = 20_000
"""Up to so many features of a species the percentile is exact; beyond, it is read off counts and errs by at most 2 / BINS."""


def percentile_of_counts(counts: np.ndarray) -> np.ndarray:
    """Return the 95th percentile (the least cosine that so many are at or below) of `BankIndex.histogram`'s counts [n, BINS]."""
    bins = counts.shape[1]
    needed = np.ceil(PERCENTILE * counts.sum(1, keepdims=True))
    return (counts.cumsum(1) < needed).sum(1) * (2 / bins) - 1 + 1 / bins
