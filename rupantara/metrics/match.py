"""Do region codes find their own: an altered picture its face, and a face others of its species."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Shaped

from rupantara.metrics.interval import Interval, wilson_interval

Codes = Float[np.ndarray, "rows regions dim"]

BLOCK = 512
"""Queries compared with the bank at a time."""

TIE = 1e-9
"""Cosines nearer than this are equal: rounding must not decide between rows that are the same."""

SCORE_TIE = 1e-6
"""The same for scores that a bank gives, in float32."""


def first_hits(
    ids: Shaped[np.ndarray, "rows k"], scores: Float[np.ndarray, "rows k"], own: Sequence[str]
) -> Bool[np.ndarray, " rows"]:
    """Tell whether the best of at least 2 hits, sorted, is each query's own.

    A tie is a miss, so that equal codes for all score 0; a face that lies in the bank twice always misses.
    """
    return (ids[:, 0] == np.asarray(own, object)) & (scores[:, 0] > scores[:, 1] + SCORE_TIE)


def species_hits(codes: Codes, species: Sequence[str]) -> Bool[np.ndarray, "rows regions"]:
    """Tell, region by region, whether the row nearest each row but itself is of its species.

    A tie with another species is a miss, and so is the only row of a species.
    """
    names = np.asarray(species)
    hits = np.empty(codes.shape[:2], bool)
    for region, start, cosine in _cosines(codes, codes):
        rows = np.arange(len(cosine))
        cosine[rows, start + rows] = -np.inf
        same = names[start : start + len(cosine), None] == names
        nearest = np.where(same, cosine, -np.inf).max(1), np.where(same, -np.inf, cosine).max(1)
        hits[start : start + len(cosine), region] = nearest[0] > nearest[1] + TIE
    return hits


def _cosines(queries: np.ndarray, bank: np.ndarray) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield (region, first query of the block, cosines [block, bank])."""
    for region in range(queries.shape[1]):
        known = _unit(bank[:, region]).T
        for start in range(0, len(queries), BLOCK):
            yield region, start, _unit(queries[start : start + BLOCK, region]) @ known


def _unit(rows: np.ndarray) -> np.ndarray:
    """Scale to unit length in float64, where rounding stays far below TIE."""
    values = rows.astype(np.float64)
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-300)


@dataclass(frozen=True)
class HitStats:
    """Queries, and how many of them hit in each region."""

    count: int
    hits: tuple[int, ...]

    @staticmethod
    def update(hits: Bool[np.ndarray, "rows regions"]) -> "HitStats":
        """Count a batch of hits, as `first_hits` of each region or `species_hits` tell."""
        return HitStats(len(hits), tuple(int(n) for n in hits.sum(0)))

    def merge(self, other: "HitStats") -> "HitStats":
        """Add the counts of other queries."""
        return HitStats(self.count + other.count, tuple(a + b for a, b in zip(self.hits, other.hits, strict=True)))

    def compute(self) -> tuple[Interval, ...]:
        """Return each region's share of hits with its Wilson 95 % interval; ValueError when nothing was counted."""
        return tuple(wilson_interval(n, self.count) for n in self.hits)
