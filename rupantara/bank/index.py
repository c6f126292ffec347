"""One process's part of the bank: its rows, and a store of vectors a region."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rupantara import schema
from rupantara.bank.factory import K as MEASURED_K
from rupantara.bank.hits import Hits, best_first, pad_hits, take
from rupantara.bank.store import ApproximateStore, Runs, VectorStore, as_store
from rupantara.errors import UserError
from rupantara.landmarks.regions import REGIONS
from rupantara.types import Vectors

MARGIN = 8
"""Candidates fetched beyond k, so that ties at the k-th place are seen and broken by id."""

ROUNDING = 1e-5
"""FAISS sums in another order: what it left out may lie this close above the last one that it kept."""

MOST_APPROXIMATE = 100
"""More than so many hits are found by a scan also where there is an approximate index, and so are those of one species."""

BINS = 8192
"""Bins of `histogram` over cosines from -1 to 1."""


@dataclass(frozen=True)
class UnitSums:
    """Sum of unit vectors and their number, by (region, species): mean affinity needs no more."""

    sums: dict[tuple[str, str], np.ndarray]
    counts: dict[tuple[str, str], int]


class BankIndex:
    """Cosine search over bank rows (`rupantara.schema.bank`), by region and optionally species: exact, or approximate by FAISS files."""

    def __init__(self, rows: pa.Table, indexes: Mapping[str, bytes] | None = None) -> None:
        """Index rows; `indexes` are FAISS files by region over the rows in their order.

        Raise UserError when a face does not have each region once.
        """
        self._dim = schema.bank_dim(rows.schema)
        if not indexes:
            # Sorted by species, a species is one range; a FAISS file knows rows by their place and forbids that.
            rows = rows.sort_by([("species", "ascending"), ("feature_id", "ascending")])
        parts = {region: schema.where(rows, region=region) for region in REGIONS}
        self._faces = _faces(parts)
        self._runs = _runs(parts[REGIONS[0]]["species"].to_pylist())
        self._norms = {region: part["norm"].to_numpy() for region, part in parts.items()}
        self._stores: dict[str, VectorStore] = {
            region: as_store(
                schema.dense(part["vector"], self._dim).astype(np.float32, copy=False), (indexes or {}).get(region)
            )
            for region, part in parts.items()
        }

    @property
    def num_faces(self) -> int:
        """Return how many faces can be found."""
        return len(self._faces)

    @property
    def bytes_a_vector(self) -> float:
        """Return the memory of a vector, indexes included."""
        return sum(store.bytes for store in self._stores.values()) / max(1, len(self._faces) * len(REGIONS))

    def moments(self) -> UnitSums:
        """Return sums and counts of the unit vectors by region and species, float64."""
        sums: dict[tuple[str, str], np.ndarray] = {}
        counts: dict[tuple[str, str], int] = {}
        for region, store in self._stores.items():
            for species, runs in self._runs.items():
                total, count = np.zeros(self._dim), 0
                for low, high in runs:
                    for _, vectors in store.chunks(low, high):
                        total, count = total + vectors.sum(0, dtype=np.float64), count + len(vectors)
                sums[region, species], counts[region, species] = total, count
        return UnitSums(sums, counts)

    def animals(self, face_ids: Collection[str]) -> dict[str, np.ndarray]:
        """Return the aligned codes [5, dim] (`Hits.codes`) of those of some faces that are here, in the order of REGIONS."""
        asked = pa.array(list(face_ids), pa.string())
        there = pc.is_in(self._faces, value_set=asked)  # ty: ignore[missing-attribute]
        places = np.flatnonzero(there.to_numpy(zero_copy_only=False))
        stores = ((self._stores[region], self._norms[region]) for region in REGIONS)
        codes = np.stack([store.rows(places) * norms[places, None] for store, norms in stores], axis=1)
        return dict(zip(self._faces.take(pa.array(places)).to_pylist(), codes, strict=True))

    def vectors_at(self, region: str, positions: np.ndarray) -> Vectors:
        """Return the stored vectors of a region at rows [n]: float32 [n, dim]."""
        return self._stores[region].rows(positions)

    def search(
        self,
        queries: Vectors,
        region: str,
        k: int,
        species: str = "",
        *,
        exclude: Sequence[str] | None = None,
        vectors: bool = True,
        exact: bool = False,
    ) -> Hits:
        """Find the k rows of a region (and species) with the greatest cosine to each unit query [n, dim].

        `exclude` names for each query a face that is not to be found ("" = none); without `vectors` the answer holds scores and
        ids alone; `exact` scans also where there is an approximate index. Raise ValueError for queries of another shape.
        """
        self._check(queries, region, exclude)
        runs = self._runs_of(species)
        queries = np.ascontiguousarray(queries, np.float32)
        most = sum(high - low for low, high in runs)
        if k < 1 or most < 1 or not len(queries):
            return pad_hits(self._none(len(queries)), max(k, 0), vectors=vectors)
        store, wanted = self._stores[region], min(k, most)
        # Recall was measured for few of all rows: what lies outside is scanned.
        known = not species and wanted <= MOST_APPROXIMATE and 4 * wanted < most
        if isinstance(store, ApproximateStore) and not exact and known:
            hits = self._approximate(queries, region, wanted, exclude)
        else:
            hits = self._exact(queries, region, wanted, runs, exclude)
        return pad_hits(self._filled(hits, region, vectors), k, vectors=vectors)

    def search_faces(
        self,
        queries: Mapping[str, Vectors],
        weights: Mapping[str, float],
        k: int,
        species: str = "",
        *,
        exclude: Sequence[str] | None = None,
    ) -> Hits:
        """Find the k faces with the greatest weighted mean cosine over several regions; ids are face ids, without vectors.

        `queries` holds unit vectors [n, dim] a region. Exact: all faces are scanned. Raise ValueError for unknown regions, weights
        that are negative or sum to 0, and queries of another shape.
        """
        shares = region_weights(queries, weights)
        count = len(next(iter(queries.values())))
        for region, rows in queries.items():
            self._check(rows, region, exclude)
            if len(rows) != count:
                raise ValueError(f"every region must have as many queries, got {count} and {len(rows)}")
        best = Hits(*self._empty(count), np.zeros((count, 0, self._dim), np.float32), np.zeros((count, 0), np.float32))
        for low, high in self._runs_of(species):
            for start in range(low, high, CHUNK_FACES):
                end = min(start + CHUNK_FACES, high)
                total = np.zeros((count, end - start))
                for region, share in shares.items():
                    part = self._stores[region].rows(np.arange(start, end))
                    total += share * (queries[region].astype(np.float64) @ part.astype(np.float64).T)
                best = self._best_faces(best, total.astype(np.float32), start, k, exclude)
        return pad_hits(best, k, vectors=False)

    def histogram(self, queries: Vectors, region: str, species: str) -> np.ndarray:
        """Count cosines with a species' rows in BINS bins over [-1, 1]: int64 [queries, BINS]; shards' counts add up."""
        self._check(queries, region, None)
        counts = np.zeros((len(queries), BINS), np.int64)
        lines = np.arange(len(queries))[:, None] * BINS
        for low, high in self._runs_of(species):
            for start in range(low, high, CHUNK_FACES):
                rows = self._stores[region].rows(np.arange(start, min(start + CHUNK_FACES, high)))
                cosine = queries.astype(np.float32) @ rows.T
                bins = np.clip(((cosine + 1) * (BINS / 2)).astype(np.int64), 0, BINS - 1)
                counts += np.bincount((bins + lines).ravel(), minlength=counts.size).reshape(counts.shape)
        return counts

    def _check(self, queries: Vectors, region: str, exclude: Sequence[str] | None) -> None:
        if region not in self._stores:
            raise ValueError(f"region must be one of {', '.join(REGIONS)}, got {region!r}")
        if queries.ndim != 2 or queries.shape[1] != self._dim:
            raise ValueError(f"queries must be [n, {self._dim}], got {list(queries.shape)}")
        if not np.isfinite(queries).all():
            raise ValueError("queries must be finite, got NaN or infinity")
        if exclude is not None and len(exclude) != len(queries):
            raise ValueError(f"exclude must name a face for each of {len(queries)} queries, got {len(exclude)}")

    def _runs_of(self, species: str) -> Runs:
        if species:
            return self._runs.get(species, ())
        return ((0, len(self._faces)),) if len(self._faces) else ()

    def _exact(self, queries: Vectors, region: str, k: int, runs: Runs, exclude: Sequence[str] | None) -> "_Ranked":
        """Fetch more than k and score again in float64; queries whose last place is tied are asked again, more widely."""
        total = sum(high - low for low, high in runs)
        fetch = min(total, k + MARGIN + (exclude is not None))
        rounding = ROUNDING * np.maximum(1, np.linalg.norm(queries, axis=1))
        open_ = np.arange(len(queries))
        whole: _Ranked | None = None
        while True:
            others = [exclude[i] for i in open_] if exclude is not None else None
            positions, floor = self._stores[region].nearest(queries[open_], runs, fetch)
            ranked = self._rank(queries[open_], region, positions, k, others)
            if whole is None:
                whole = ranked
            else:
                whole.scores[open_], whole.positions[open_] = ranked.scores, ranked.positions
            if fetch >= total:
                return whole
            open_ = open_[~(ranked.scores[:, -1] > floor + rounding[open_])]
            if not len(open_):
                return whole
            fetch = min(total, fetch * 4)

    def _approximate(self, queries: Vectors, region: str, k: int, exclude: Sequence[str] | None) -> "_Ranked":
        """Ask the FAISS index, which ranks by the stored vectors; what it can not fill is scanned.

        Never fewer than were asked for when the recall was measured. Of copies that tie at the last place, any may be left out.
        """
        store = self._stores[region]
        assert isinstance(store, ApproximateStore)
        fetch = min(len(store), max(k, MEASURED_K) + (exclude is not None))
        scores, positions = store.approximate(queries, fetch)
        ranked = self._best(scores, positions, k, exclude)
        short = np.flatnonzero(np.isneginf(ranked.scores[:, -1]))
        if len(short):
            others = [exclude[i] for i in short] if exclude is not None else None
            scanned = self._exact(queries[short], region, k, self._runs_of(""), others)
            ranked.scores[short], ranked.positions[short] = scanned.scores, scanned.positions
        return ranked

    def _rank(
        self, queries: Vectors, region: str, positions: np.ndarray, k: int, exclude: Sequence[str] | None
    ) -> "_Ranked":
        """Score candidates [queries, n] in float64 and keep the k best, as `_best`."""
        safe = np.maximum(positions, 0)
        scores = np.empty(positions.shape, np.float32)
        step = max(1, RANKED_VALUES // max(1, positions.shape[1] * self._dim))
        for start in range(0, len(queries), step):
            part = slice(start, start + step)
            near = self._stores[region].rows(safe[part]).astype(np.float64)
            scores[part] = np.matmul(near, queries[part].astype(np.float64)[:, :, None])[:, :, 0]
        return self._best(scores, positions, k, exclude)

    def _best(self, scores: np.ndarray, positions: np.ndarray, k: int, exclude: Sequence[str] | None) -> "_Ranked":
        """Keep the k best of candidates [queries, n], ties by id; those at -1 and excluded ones come last."""
        kept = positions >= 0
        if exclude is not None:
            kept &= self._face_ids(np.maximum(positions, 0)) != np.array(exclude, object)[:, None]
        scores = np.where(kept, scores, -np.inf).astype(np.float32)
        # With the slash, faces sort as their feature ids do.
        order = best_first(scores, lambda row: self._face_ids(np.maximum(positions[row], 0)) + "/")[:, :k]
        rows = np.arange(len(order))[:, None]
        return _Ranked(scores[rows, order], np.where(kept, positions, -1)[rows, order])

    def _face_ids(self, positions: np.ndarray) -> np.ndarray:
        taken = self._faces.take(pa.array(positions.ravel()))
        return np.array(taken.to_numpy(zero_copy_only=False), object).reshape(positions.shape)

    def _filled(self, ranked: "_Ranked", region: str, vectors: bool) -> Hits:
        """Turn positions into ids, and vectors where they are asked for."""
        there, safe = ranked.positions >= 0, np.maximum(ranked.positions, 0)
        ids = np.where(there, self._face_ids(safe) + f"/{region}", "")
        if not vectors:
            none = self._none(len(ids))
            return Hits(ranked.scores, ids, none.vectors, none.norms)
        found = self._stores[region].rows(safe) * there[:, :, None]
        return Hits(ranked.scores, ids, found.astype(np.float32), self._norms[region][safe] * there)

    def _best_faces(self, best: Hits, scores: np.ndarray, start: int, k: int, exclude: Sequence[str] | None) -> Hits:
        """Merge the best so far with the scores of the faces from `start` on."""
        most = min(scores.shape[1], k + MARGIN + (exclude is not None))
        at = np.argpartition(-scores, most - 1, axis=1)[:, :most]
        least = np.take_along_axis(scores, at, 1).min(1)
        # Ties at the last place: all of them have a say.
        if ((scores >= least[:, None]).sum(1) > most).any():
            at = np.argsort(-scores, axis=1, kind="stable")[:, : int((scores >= least[:, None]).sum(1).max())]
        found, ids = np.take_along_axis(scores, at, 1), self._face_ids(at + start)
        if exclude is not None:
            found = np.where(ids == np.array(exclude, object)[:, None], -np.inf, found).astype(np.float32)
        ids = np.where(np.isfinite(found), ids, "")
        both = Hits(
            np.concatenate([best.scores, found], 1), np.concatenate([best.ids, ids], 1), best.vectors, best.norms
        )
        return take(both, best_first(both.scores, both.ids.__getitem__)[:, :k])

    def _empty(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros((n, 0), np.float32), np.zeros((n, 0), object)

    def _none(self, n: int) -> Hits:
        return Hits(*self._empty(n), np.zeros((n, 0, self._dim), np.float32), np.zeros((n, 0), np.float32))


CHUNK_FACES = 16_384
RANKED_VALUES = 4_000_000
"""Values of candidates' vectors held at a time."""


@dataclass(frozen=True)
class _Ranked:
    """The best rows of each query: scores [queries, k] (-inf = none) and positions (-1 = none)."""

    scores: np.ndarray
    positions: np.ndarray


def region_weights(queries: Mapping[str, Vectors], weights: Mapping[str, float]) -> dict[str, float]:
    """Return each queried region's share of the mean; ValueError for weights that say nothing."""
    unknown = sorted((set(queries) | set(weights)) - set(REGIONS))
    if unknown or not queries or set(weights) - set(queries):
        raise ValueError(
            f"regions must be of {', '.join(REGIONS)} and have queries, got {sorted(queries)} and {sorted(weights)}"
        )
    values = {region: float(weights.get(region, 1.0)) for region in queries}
    total = sum(values.values())
    if min(values.values()) < 0 or not 0 < total < float("inf"):
        raise ValueError(f"weights must not be negative and must sum above 0, got {values}")
    return {region: value / total for region, value in values.items()}


def _faces(parts: Mapping[str, pa.Table]) -> pa.Array:
    """Return the face of each row, alike in all regions."""
    join: Any = pc.binary_join_element_wise  # ty: ignore[missing-attribute]
    faces = {region: part["face_id"].combine_chunks() for region, part in parts.items()}
    first = faces[REGIONS[0]]
    for region, part in parts.items():
        named = join(faces[region], pa.scalar(region), "/")
        if not faces[region].equals(first) or not named.equals(part["feature_id"].combine_chunks()):
            raise UserError(
                f"rows of a bank must hold each face in every region once, {region} differs from {REGIONS[0]}"
            )
    if len(first.unique()) != len(first):
        raise UserError("rows of a bank must hold each face in every region once, got a face twice")
    return first


def _runs(species: list[str]) -> dict[str, Runs]:
    """Return the ranges of rows of each species."""
    out: dict[str, list[tuple[int, int]]] = {}
    for i, name in enumerate(species):
        runs = out.setdefault(name, [])
        if runs and runs[-1][1] == i:
            runs[-1] = (runs[-1][0], i + 1)
        else:
            runs.append((i, i + 1))
    return {name: tuple(runs) for name, runs in out.items()}
