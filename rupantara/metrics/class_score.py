"""The inception score (Salimans et al., 2016) over any network's classes; it is that name's score only with Inception-v3's."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

LEAST = 1e-12


@dataclass(frozen=True)
class ClassStats:
    """Sums over pictures of their class probabilities p, and of p log p, in float64."""

    count: int
    probabilities: Float[np.ndarray, " classes"]
    negative_entropy: float

    @staticmethod
    def update(probabilities: Float[np.ndarray, "rows classes"]) -> "ClassStats":
        """Take a batch of rows that sum to 1; ValueError for none."""
        rows = np.asarray(probabilities, np.float64)
        if not len(rows) or not np.isfinite(rows).all():
            raise ValueError(f"class probabilities must be finite and at least one row, got {rows.shape}")
        return ClassStats(len(rows), rows.sum(0), float((rows * np.log(np.maximum(rows, LEAST))).sum()))

    def merge(self, other: "ClassStats") -> "ClassStats":
        """Join the sums of two sets of pictures."""
        joined = self.probabilities + other.probabilities
        return ClassStats(self.count + other.count, joined, self.negative_entropy + other.negative_entropy)

    def compute(self) -> float:
        """Return exp of the mean divergence of p from its mean, of all rows at once: 1 to the number of classes."""
        mean = self.probabilities / self.count
        return float(np.exp(self.negative_entropy / self.count - (mean * np.log(np.maximum(mean, LEAST))).sum()))
