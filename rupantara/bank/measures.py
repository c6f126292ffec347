"""How near queries are to the groups of a reference: cosines, probabilities and the nearest members, a region at a time."""

from dataclasses import dataclass

import numpy as np

from rupantara.bank.reference import Reference
from rupantara.landmarks.regions import REGIONS
from rupantara.metrics.affinity_sums import MEASURES
from rupantara.metrics.nearer import nearer, placements
from rupantara.metrics.steady import ROWS, product
from rupantara.types import Vectors

QUERIES = ROWS
"""Faces compared at a time: their similarities fit the processor's cache."""

SORTED = 16
"""Rows sorted at a time: what is made of them on the way stays in the cache."""

PERCENTILE = 0.95


@dataclass(frozen=True)
class Compared:
    """Cells [faces, regions, groups, measures], the best members, and sums by member of cosines and of placements."""

    cells: np.ndarray
    best: "Best"
    scores: np.ndarray
    places: np.ndarray


def compare(units: Vectors, ref: Reference, owners: list[str], top: int, placed: np.ndarray) -> Compared:
    """Compare unit vectors [n, 5, dim] with a reference; a face is not compared with its `owners` own.

    `placed` [n] chooses the faces whose placements are summed.
    """
    excluded = np.array([ref.place.get(name, -1) for name in owners], int)
    shape = (len(units), len(REGIONS), len(ref.groups))
    cells, best = np.full((*shape, len(MEASURES)), np.nan, np.float32), Best.empty(shape, top)
    scores = np.zeros((len(REGIONS), len(ref.ids)))
    places = np.zeros((len(REGIONS), len(ref.ids), len(ref.groups)))
    for start in range(0, len(units), QUERIES):
        at = slice(start, start + QUERIES)
        for r in range(len(REGIONS)):
            similarity = product(units[at, r], ref.vectors[r].T)
            scores[r] += similarity.sum(0, dtype=np.float64)
            means = product(units[at, r], ref.means[r].T)
            own = np.flatnonzero(excluded[at] >= 0)
            if len(own):
                # In place of a face's own, the mean of its group, so that sums go over as many members for every face.
                members = excluded[at][own]
                np.add.at(scores[r], members, means[own, ref.group[members]] - similarity[own, members])
            if placed[at].any():
                places[r] += placements(similarity[placed[at]], ref.group, len(ref.groups))
            cells[at, r] = measure(similarity, ref, excluded[at], means)
            cells[at, r, :, 1:3] = best.fill(at, r, similarity, ref, excluded[at])
    return Compared(cells, best, scores, places)


def measure(similarity: np.ndarray, ref: Reference, excluded: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Return the mean and the probabilities of each query and group [queries, groups, 5] of one region; the rest is NaN.

    `means` [queries, groups] are the mean cosines before anybody is excluded: a mean of dot products is the dot product with the mean.
    """
    out = np.full((*means.shape, len(MEASURES)), np.nan, np.float32)
    out[..., 0] = means
    for row in np.flatnonzero(excluded >= 0):
        low, high = ref.ranges[ref.group[excluded[row]]]
        rest = np.delete(similarity[row, low:high], excluded[row] - low)
        out[row, ref.group[excluded[row]], 0] = rest.mean(dtype=np.float64) if len(rest) else np.nan
    for start in range(0, len(similarity), SORTED):
        at = slice(start, start + SORTED)
        found = nearer(similarity[at], ref.group, len(ref.groups), excluded[at], people=ref.people)
        out[at, :, 3], out[at, :, 4] = found.others, found.people
    return out


def upper(ordered: np.ndarray, count: int) -> np.ndarray:
    """Return the 95th percentile of the `count` greatest of each sorted row, linear between order statistics as numpy's."""
    position = PERCENTILE * (count - 1)
    low = ordered.shape[1] - count + int(np.floor(position))
    high = min(low + 1, ordered.shape[1] - 1)
    # Who has nobody there is minus infinity, and stays without a percentile.
    with np.errstate(invalid="ignore"):
        return ordered[:, low] + (ordered[:, high] - ordered[:, low]) * np.float32(position - np.floor(position))


@dataclass(frozen=True)
class Best:
    """The nearest members of each face, region and group: positions (-1 = none) and scores [faces, regions, groups, top]."""

    positions: np.ndarray
    scores: np.ndarray

    @staticmethod
    def empty(shape: tuple[int, int, int], top: int) -> "Best":
        """Return room for the best of so many faces, regions and groups."""
        return Best(np.full((*shape, top), -1, np.int64), np.full((*shape, top), -np.inf, np.float32))

    def fill(self, at: slice, region: int, similarity: np.ndarray, ref: Reference, excluded: np.ndarray) -> np.ndarray:
        """Find the best of some faces in a region, ties by place; return the greatest and the 95th percentile [faces, groups, 2].

        Whom a face is not compared with is minus infinity in `similarity` from here on.
        """
        top, out = self.scores.shape[-1], np.full((len(similarity), len(ref.groups), 2), np.nan, np.float32)
        own = np.flatnonzero(excluded >= 0)
        similarity[own, excluded[own]] = -np.inf
        for g, (low, high) in enumerate(ref.ranges):
            part, k = similarity[:, low:high], min(top, high - low)
            ordered = np.sort(part, axis=1)
            out[:, g, 0], out[:, g, 1] = ordered[:, -1], upper(ordered, high - low)
            without = own[ref.group[excluded[own]] == g]
            if len(without):
                out[without, g, 1] = upper(ordered[without], high - low - 1) if high - low > 1 else np.nan
            if k:
                found = greatest(part, ordered[:, -k], k)
                score = np.take_along_axis(part, found, 1)
                self.positions[at, region, g, :k] = np.where(np.isfinite(score), found + low, -1)
                self.scores[at, region, g, :k] = score
        return np.where(np.isfinite(out), out, np.nan)


def greatest(values: np.ndarray, least: np.ndarray, k: int) -> np.ndarray:
    """Return the places of each row's `k` greatest values, the greatest first, ties by place; `least` is the k-th greatest."""
    found = np.flatnonzero(values >= least[:, None])
    if len(found) != k * len(values):
        # More than k where some tie with the k-th.
        return np.argsort(-values, axis=1, kind="stable")[:, :k]
    found = found.reshape(-1, k) % values.shape[1]
    order = np.argsort(-np.take_along_axis(values, found, 1), axis=1, kind="stable")
    return np.take_along_axis(found, order, 1)
