"""Is the person still known in a hybrid: distance to themselves, and whether they come first among many."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from rupantara.metrics.interval import Interval, normal_interval, wilson_interval


@dataclass(frozen=True)
class IdentityStats:
    """Pictures counted, how many ranked their own person first, sum and sum of squares of the cosine to their own person."""

    count: int = 0
    first: int = 0
    total: float = 0.0
    squares: float = 0.0

    @staticmethod
    def update(
        vectors: Float[np.ndarray, "rows dim"], people: Float[np.ndarray, "people dim"], own: Int[np.ndarray, " rows"]
    ) -> "IdentityStats":
        """Compare pictures' identity vectors with those of people; `own` is the row of the person that each was made of.

        Nearest by Euclidean distance, which is what dlib's network was trained for; of unit vectors it is the order of cosines.
        A tie is a miss.
        """
        a, b = vectors.astype(np.float64), people.astype(np.float64)
        distance = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
        rows = np.arange(len(a))
        mine = distance[rows, own].copy()
        distance[rows, own] = np.inf
        lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b[own], axis=1)
        cosine = (a * b[own]).sum(1) / np.maximum(lengths, 1e-12)
        return IdentityStats(len(a), int((mine < distance.min(1)).sum()), float(cosine.sum()), float((cosine**2).sum()))

    def merge(self, other: "IdentityStats") -> "IdentityStats":
        """Add the sums of other pictures."""
        return IdentityStats(
            self.count + other.count, self.first + other.first, self.total + other.total, self.squares + other.squares
        )

    def compute(self) -> dict[str, Interval]:
        """Return `rank1` (share of pictures whose own person comes first) and the mean `cosine`, with 95 % intervals."""
        return {
            "rank1": wilson_interval(self.first, self.count),
            "cosine": normal_interval(self.count, self.total, self.squares),
        }
