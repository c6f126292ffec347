"""Do region codes find their own: an altered picture its face, and a face others of its species."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from rupantara.metrics.cosine import unit
from rupantara.metrics.interval import Interval, wilson_interval

Codes = Float[np.ndarray, "rows regions dim"]

BLOCK = 512
"""Queries compared with the bank at a time."""


def match_hits(
    queries: Codes, bank: Float[np.ndarray, "bank regions dim"], own: Int[np.ndarray, " rows"]
) -> Bool[np.ndarray, "rows regions"]:
    """Tell, region by region, whether the bank row nearest each query by cosine is row `own`.

    A tie is a miss, so that equal codes for all score 0; a face that lies in the bank twice always misses.
    """
    hits = np.empty(queries.shape[:2], bool)
    for region, start, cosine in _cosines(queries, bank):
        rows = np.arange(len(cosine))
        mine = own[start : start + len(cosine)]
        at_own = cosine[rows, mine].copy()
        cosine[rows, mine] = -np.inf
        hits[start : start + len(cosine), region] = at_own > cosine.max(1)
    return hits


def species_hits(codes: Codes, species: Sequence[str]) -> Bool[np.ndarray, "rows regions"]:
    """Tell, region by region, whether the row nearest each row but itself is of its species; a tie with another's is a miss."""
    names = np.asarray(species)
    hits = np.empty(codes.shape[:2], bool)
    for region, start, cosine in _cosines(codes, codes):
        rows = np.arange(len(cosine))
        cosine[rows, start + rows] = -np.inf
        same = names[start : start + len(cosine), None] == names
        nearest = np.where(same, cosine, -np.inf).max(1), np.where(same, -np.inf, cosine).max(1)
        hits[start : start + len(cosine), region] = nearest[0] > nearest[1]
    return hits


def _cosines(queries: np.ndarray, bank: np.ndarray):  # noqa: ANN202
    for region in range(queries.shape[1]):
        known = unit(bank[:, region])[0].T
        for start in range(0, len(queries), BLOCK):
            yield region, start, unit(queries[start : start + BLOCK, region])[0] @ known


@dataclass(frozen=True)
class HitStats:
    """Queries, and how many of them hit in each region."""

    count: int
    hits: tuple[int, ...]

    @staticmethod
    def update(hits: Bool[np.ndarray, "rows regions"]) -> "HitStats":
        """Count a batch of `match_hits` or `species_hits`."""
        return HitStats(len(hits), tuple(int(n) for n in hits.sum(0)))

    def merge(self, other: "HitStats") -> "HitStats":
        """Add the counts of other queries."""
        return HitStats(self.count + other.count, tuple(a + b for a, b in zip(self.hits, other.hits, strict=True)))

    def compute(self) -> tuple[Interval, ...]:
        """Return each region's share of hits with its Wilson 95 % interval; ValueError when nothing was counted."""
        return tuple(wilson_interval(n, self.count) for n in self.hits)
