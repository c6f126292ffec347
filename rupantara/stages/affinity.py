"""Features to affinity: how near each region of each face is to each species, and the sums that reports are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from rupantara import schema
from rupantara.bank.reference import Reference
from rupantara.bank.spaces import Space
from rupantara.landmarks.regions import REGIONS
from rupantara.metrics.affinity_sums import ALL, MEASURES, REPLICATES, AffinitySums
from rupantara.metrics.hashed_weights import chosen, poisson_weights
from rupantara.metrics.nearer import nearer, placements
from rupantara.types import Vectors

QUERIES = 128
"""Faces compared at a time: their similarities fit the processor's cache."""

PERCENTILE = 0.95
FACE = "face"
"""Factor of the bootstrap's weights of faces; the reference's members are the other factor."""


@dataclass(frozen=True)
class Groups:
    """What is known of faces: the person of each (bootstrap weights go by person), and the groups that it is in (`sex=1`)."""

    owner: Mapping[str, str]
    groups: Mapping[str, Sequence[str]]

    @staticmethod
    def none() -> "Groups":
        """Return groups that know nothing: each face is its own person, in no group."""
        return Groups({}, {})


@dataclass(frozen=True)
class MapOptions:
    """Best members kept of each group; bootstrap draws; share of faces whose placements are summed; seed of the weights."""

    top: int = 3
    replicates: int = REPLICATES
    placed_share: float = 1.0
    seed: int = 0


class MapAffinity:
    """Batch of features -> batch of `schema.AFFINITY`, a row for each face, region and group of the reference, and its sums."""

    def __init__(
        self,
        reference: Reference,
        space: Space,
        column: str,
        groups: Groups,
        options: MapOptions = MapOptions(),
        wanted: Mapping[str, str] | None = None,
    ) -> None:
        """Map the `wanted` faces: columns of the features table and the value that they must have (`domain`, `split`)."""
        self._reference, self._space, self._column = reference, space, column
        self._groups, self._options, self._wanted = groups, options, dict(wanted or {})

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Map the wanted faces of the batch."""
        return self.map(batch)[0]

    def map(self, batch: pa.Table) -> tuple[pa.Table, AffinitySums]:
        """Return rows and sums of the wanted faces; those without a vector are left out."""
        rows = schema.where(batch, **self._wanted)
        rows = rows.filter(rows[self._column].is_valid())
        codes = schema.dense(rows[self._column], len(REGIONS), -1)
        domains = np.array(rows["domain"].to_pylist(), object)
        return self.map_codes(rows["face_id"].to_pylist(), codes, domains)

    def map_codes(self, ids: Sequence[str], codes: Vectors, domains: np.ndarray) -> tuple[pa.Table, AffinitySums]:
        """Return rows and sums of faces by their codes [n, 5, dim] and domains [n]."""
        units = np.zeros((len(ids), len(REGIONS), self._reference.vectors.shape[2]), np.float32)
        for domain in sorted(set(domains.tolist())):
            units[domains == domain] = self._space.units(codes[domains == domain], domain)
        ref = self._reference
        owners = [self._groups.owner.get(name, name) for name in ids]
        excluded = np.array([ref.place.get(o, ref.place.get(i, -1)) for i, o in zip(ids, owners, strict=True)], int)
        shape = (len(ids), len(REGIONS), len(ref.groups))
        cells, best = np.full((*shape, len(MEASURES)), np.nan, np.float32), Best.empty(shape, self._options.top)
        placed = chosen(ids, self._options.placed_share, "placed")
        scores = np.zeros((len(REGIONS), len(ref.ids)))
        places = np.zeros((len(REGIONS), len(ref.ids), len(ref.groups)))
        for start in range(0, len(ids), QUERIES):
            at = slice(start, start + QUERIES)
            for r in range(len(REGIONS)):
                similarity = units[at, r] @ ref.vectors[r].T
                scores[r] += similarity.sum(0, dtype=np.float64)
                if placed[at].any():
                    places[r] += placements(similarity[placed[at]], ref.group, len(ref.groups))
                cells[at, r] = measure(similarity, ref, excluded[at], means=units[at, r] @ ref.means[r].T)
                best.fill(at, r, similarity, ref, excluded[at])
        weights = poisson_weights(owners, self._options.replicates, FACE, self._options.seed)
        sums = AffinitySums.update(cells, weights, self._members(ids), scores, places, int(placed.sum()))
        return affinity_rows(ids, ref, cells, best), sums

    def _members(self, ids: Sequence[str]) -> dict[str, np.ndarray]:
        found = [frozenset(self._groups.groups.get(name, ())) for name in ids]
        names = sorted(set().union(*found) - {ALL}) if found else []
        return {name: np.array([name in one for one in found]) for name in names}


def measure(similarity: np.ndarray, ref: Reference, excluded: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Return the measures of each query and group [queries, groups, 5] of one region.

    `means` [queries, groups] are the mean cosines before anybody is excluded: a mean of dot products is the dot product with the mean.
    """
    out = np.full((*means.shape, len(MEASURES)), np.nan, np.float32)
    for g, (low, high) in enumerate(ref.ranges):
        part = similarity[:, low:high]
        without = np.flatnonzero((excluded >= low) & (excluded < high))
        out[:, g, 0], out[:, g, 1], out[:, g, 2] = means[:, g], part.max(1), upper(part)
        for row in without:
            rest = np.delete(part[row : row + 1], excluded[row] - low, axis=1)
            out[row, g, :3] = [rest.mean(dtype=np.float64), rest.max(), upper(rest)[0]] if rest.size else np.nan
    found = nearer(similarity, ref.group, len(ref.groups), excluded, people=ref.people)
    out[..., 3], out[..., 4] = found.others, found.people
    return out


def upper(values: np.ndarray) -> np.ndarray:
    """Return the 95th percentile of each row, linear between order statistics as numpy's."""
    position = PERCENTILE * (values.shape[1] - 1)
    low = int(np.floor(position))
    high = min(low + 1, values.shape[1] - 1)
    found = np.partition(values, sorted({low, high}), axis=1)
    return found[:, low] + (found[:, high] - found[:, low]) * np.float32(position - low)


@dataclass(frozen=True)
class Best:
    """The nearest members of each face, region and group: positions (-1 = none) and scores [faces, regions, groups, top]."""

    positions: np.ndarray
    scores: np.ndarray

    @staticmethod
    def empty(shape: tuple[int, int, int], top: int) -> "Best":
        """Return room for the best of so many faces, regions and groups."""
        return Best(np.full((*shape, top), -1, np.int64), np.full((*shape, top), -np.inf, np.float32))

    def fill(self, at: slice, region: int, similarity: np.ndarray, ref: Reference, excluded: np.ndarray) -> None:
        """Find the best of some faces in a region; ties go by place."""
        top = self.scores.shape[-1]
        line = np.arange(len(similarity))[:, None]
        own = np.flatnonzero(excluded >= 0)
        similarity[own, excluded[own]] = -np.inf
        for g, (low, high) in enumerate(ref.ranges):
            part, k = similarity[:, low:high], min(top, high - low)
            if not k:
                continue
            found = np.sort(np.argpartition(-part, k - 1, axis=1)[:, :k], axis=1) if k < high - low else None
            found = np.broadcast_to(np.arange(high - low), part.shape) if found is None else found
            order = np.argsort(-part[line, found], axis=1, kind="stable")
            found = np.take_along_axis(found, order, 1)
            score = part[line, found]
            self.positions[at, region, g, :k] = np.where(np.isfinite(score), found + low, -1)
            self.scores[at, region, g, :k] = score


def affinity_rows(ids: Sequence[str], ref: Reference, cells: np.ndarray, best: Best) -> pa.Table:
    """Lay out the table: faces, then regions, then groups."""
    n, regions, groups, _ = cells.shape
    at = np.arange(n * regions * groups)
    names = np.array(ids, object)
    region = pa.DictionaryArray.from_arrays(pa.array(at // groups % regions, pa.int8()), pa.array(REGIONS))
    species = pa.DictionaryArray.from_arrays(pa.array(at % groups, pa.int16()), pa.array(ref.groups))
    flat = cells.reshape(-1, len(MEASURES))
    columns = [pa.array(names[at // (regions * groups)], pa.string()), region, species]
    columns += [pa.array(flat[:, i], pa.float32(), from_pandas=True) for i in range(len(MEASURES))]
    there = best.positions.reshape(len(at), -1) >= 0
    offsets = pa.array(np.concatenate([[0], there.sum(1).cumsum()]), pa.int32())
    members = pa.array(np.array(ref.ids, object), pa.string())
    found = members.take(pa.array(best.positions.reshape(len(at), -1)[there]))
    columns.append(pa.ListArray.from_arrays(offsets, found))
    columns.append(pa.ListArray.from_arrays(offsets, pa.array(best.scores.reshape(len(at), -1)[there])))
    return pa.table(columns, schema=schema.AFFINITY)
