"""95 % intervals: of a mean over rows, of a share."""

from dataclasses import dataclass

Z95 = 1.959963984540054
"""Two-sided 95 % point of the standard normal."""


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


def wilson_interval(hits: int, count: int) -> Interval:
    """Return the share hits / count with Wilson's score interval (1927), which stays inside [0, 1] also at 0 and `count` hits."""
    if count < 1 or not 0 <= hits <= count:
        raise ValueError(f"hits must be 0 to count and count at least 1, got {hits} of {count}")
    share, z2 = hits / count, Z95**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = Z95 / (1 + z2 / count) * (share * (1 - share) / count + z2 / (4 * count**2)) ** 0.5
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half))
