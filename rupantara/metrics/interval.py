"""95 % intervals: of a mean over rows, of a paired difference, of a share."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Z95 = 1.959963984540054
"""Two-sided 95 % point of the standard normal."""

DRAWS = 2000
"""Bootstrap resamples: the ends then wander by about 3 % of the interval's width between seeds."""

BLOCK = 2**22
"""Resampled numbers in memory at a time."""


@dataclass(frozen=True)
class Interval:
    """A value and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


def normal_interval(count: int, total: float, squares: float) -> Interval:
    """Return the mean of `count` >= 2 rows from their sum and sum of squares, +- 1.96 standard errors: for mergeable sums."""
    if count < 2:
        raise ValueError(f"an interval needs at least 2 rows, got {count}")
    mean = total / count
    variance = max(squares - count * mean**2, 0.0) / (count - 1)
    half = Z95 * (variance / count) ** 0.5
    return Interval(mean, mean - half, mean + half)


def bootstrap_interval(rows: Float[np.ndarray, " rows"], seed: int, draws: int = DRAWS) -> Interval:
    """Return the mean of at least 2 rows with the percentile interval of resampled means (Efron, 1979).

    Rows must be independent: average the pictures of a person first.
    """
    values = np.asarray(rows, np.float64)
    if len(values) < 2 or not np.isfinite(values).all():
        raise ValueError(f"an interval needs at least 2 finite rows, got {len(values)}")
    rng, step = np.random.default_rng(seed), max(1, BLOCK // len(values))
    means = [
        values[rng.integers(0, len(values), (min(step, draws - i), len(values)))].mean(1) for i in range(0, draws, step)
    ]
    low, high = np.quantile(np.concatenate(means), (0.025, 0.975))
    return Interval(float(values.mean()), float(low), float(high))


def paired_interval(
    a: Float[np.ndarray, " rows"], b: Float[np.ndarray, " rows"], seed: int, draws: int = DRAWS
) -> Interval:
    """Return the mean of a - b, row by row, with its bootstrap interval: two methods on the same faces."""
    if len(a) != len(b):
        raise ValueError(f"paired rows must be as many, got {len(a)} and {len(b)}")
    return bootstrap_interval(np.asarray(a, np.float64) - np.asarray(b, np.float64), seed, draws)


def wilson_interval(hits: int, count: int) -> Interval:
    """Return the share hits / count with Wilson's score interval (1927), which stays inside [0, 1] also at 0 and `count` hits."""
    if count < 1 or not 0 <= hits <= count:
        raise ValueError(f"hits must be 0 to count and count at least 1, got {hits} of {count}")
    share, z2 = hits / count, Z95**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = Z95 / (1 + z2 / count) * (share * (1 - share) / count + z2 / (4 * count**2)) ** 0.5
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half))
