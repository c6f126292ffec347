"""Quantiles of streams: counts in equal bins, which add up in any order; the error is known beforehand."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class QuantileSketch:
    """Counts [columns, bins] of values in [low, high], int64."""

    low: float
    high: float
    counts: np.ndarray

    @property
    def error(self) -> float:
        """Return how far a quantile may be from that of the values themselves (numpy's `inverted_cdf`): half a bin."""
        return (self.high - self.low) / self.counts.shape[1] / 2

    @staticmethod
    def update(values: np.ndarray, low: float, high: float, bins: int) -> "QuantileSketch":
        """Count values [n, columns]; NaN is left out, and what lies outside counts in the first or last bin."""
        columns = values.shape[1]
        at = np.clip((values - low) * (bins / (high - low)), 0, bins - 1)
        keep = np.isfinite(values)
        flat = np.where(keep, at, 0).astype(np.int64) + np.arange(columns) * bins
        return QuantileSketch(
            low, high, np.bincount(flat[keep], minlength=columns * bins).reshape(columns, bins).astype(np.int64)
        )

    def merge(self, other: "QuantileSketch") -> "QuantileSketch":
        """Join two sketches of the same bins."""
        if (self.low, self.high, self.counts.shape) != (other.low, other.high, other.counts.shape):
            raise ValueError(
                f"sketches must have the same bins, got {self.counts.shape} in [{self.low}, {self.high}] and"
                f" {other.counts.shape} in [{other.low}, {other.high}]"
            )
        return QuantileSketch(self.low, self.high, self.counts + other.counts)

    def compute(self, share: float) -> np.ndarray:
        """Return the quantile of each column, the middle of its bin: float64 [columns]; NaN without values."""
        total = self.counts.sum(1)
        wanted = np.maximum(np.ceil(share * total), 1)
        bin_ = (self.counts.cumsum(1) < wanted[:, None]).sum(1)
        width = (self.high - self.low) / self.counts.shape[1]
        return np.where(total > 0, self.low + (bin_ + 0.5) * width, np.nan)
