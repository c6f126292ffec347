"""One process's part of the bank: its rows, and a flat FAISS index a region."""

from dataclasses import dataclass

import faiss
import numpy as np
import pyarrow as pa

from rupantara import schema
from rupantara.bank.hits import Hits, pad_hits
from rupantara.errors import UserError
from rupantara.landmarks.regions import REGIONS
from rupantara.types import Vectors

MARGIN = 8
"""Candidates fetched beyond k, so that ties at the k-th place are seen and broken by id."""


@dataclass(frozen=True)
class Moments:
    """Sum of unit vectors and their number, by (region, species): mean affinity needs no more."""

    sums: dict[tuple[str, str], np.ndarray]
    counts: dict[tuple[str, str], int]


class BankIndex:
    """Exact cosine search over bank rows (`rupantara.schema.bank`), by region and optionally species."""

    def __init__(self, rows: pa.Table, indexes: dict[str, bytes] | None = None) -> None:
        """Index rows; `indexes` are FAISS files by region as `faiss_files` wrote them."""
        self._dim = schema.bank_dim(rows.schema)
        self._ids: dict[str, np.ndarray] = {}
        self._ranks: dict[str, np.ndarray] = {}
        self._norms: dict[str, np.ndarray] = {}
        self._vectors: dict[str, Vectors] = {}
        self._ranges: dict[str, dict[str, tuple[int, int]]] = {}
        self._faiss: dict[str, faiss.Index] = {}
        for region in REGIONS:
            part = schema.where(rows, region=region).sort_by([("species", "ascending"), ("feature_id", "ascending")])
            self._ids[region] = np.array(part["feature_id"].to_pylist(), dtype=object)
            self._ranks[region] = np.argsort(np.argsort(self._ids[region].astype(str)))
            self._norms[region] = part["norm"].to_numpy()
            self._vectors[region] = schema.dense(part["vector"], self._dim).astype(np.float32)
            self._ranges[region] = _ranges(part["species"].to_pylist())
            self._faiss[region] = self._index(region, (indexes or {}).get(region))

    def _index(self, region: str, stored: bytes | None) -> faiss.Index:
        if stored is not None:
            index = faiss.deserialize_index(np.frombuffer(stored, np.uint8))
        else:
            index = faiss.IndexFlatIP(self._dim)
            index.add(self._vectors[region])
        if index.ntotal != len(self._ids[region]):
            raise UserError(f"the {region} index must have {len(self._ids[region])} vectors, got {index.ntotal}")
        return index

    def faiss_files(self) -> dict[str, bytes]:
        """Serialise the index of each region."""
        return {region: faiss.serialize_index(index).tobytes() for region, index in self._faiss.items()}

    def moments(self) -> Moments:
        """Return sums and counts of the unit vectors by region and species, float64."""
        sums, counts = {}, {}
        for region in REGIONS:
            for species, (low, high) in self._ranges[region].items():
                sums[region, species] = self._vectors[region][low:high].sum(0, dtype=np.float64)
                counts[region, species] = high - low
        return Moments(sums, counts)

    def search(self, queries: Vectors, region: str, k: int, species: str = "") -> Hits:
        """Find the k rows of a region (and species) with the greatest cosine to each unit query [n, dim]."""
        if queries.ndim != 2 or queries.shape[1] != self._dim:
            raise ValueError(f"queries must be [n, {self._dim}], got {list(queries.shape)}")
        low, high = self._ranges[region].get(species, (0, 0)) if species else (0, len(self._ids[region]))
        if k < 1 or high <= low:
            return pad_hits(self._empty(len(queries)), max(k, 0))
        return pad_hits(
            self._exact(np.ascontiguousarray(queries, np.float32), region, min(k, high - low), low, high), k
        )

    def _empty(self, n: int) -> Hits:
        none = np.zeros((n, 0), np.float32)
        return Hits(none, none.astype(object), np.zeros((n, 0, self._dim), np.float32), none)

    def _exact(self, queries: Vectors, region: str, k: int, low: int, high: int) -> Hits:
        """Fetch more than k, score again in float64 and widen while the last place is tied."""
        fetch = min(high - low, k + MARGIN)
        while True:
            positions = self._candidates(queries, region, fetch, low, high)
            vectors = self._vectors[region][positions]
            scores = np.einsum("qd,qkd->qk", queries.astype(np.float64), vectors.astype(np.float64)).astype(np.float32)
            ranks = self._ranks[region][positions]
            order = np.stack([np.lexsort((ranks[q], -scores[q])) for q in range(len(queries))])
            rows = np.arange(len(queries))[:, None]
            scores, positions = scores[rows, order], positions[rows, order]
            # FAISS sums in another order, so what it left out may lie this close above the last one kept.
            if fetch == high - low or bool((scores[:, k - 1] - scores[:, -1] > 1e-5).all()):
                kept = positions[:, :k]
                found = self._ids[region][kept], self._vectors[region][kept], self._norms[region][kept]
                return Hits(scores[:, :k], *found)
            fetch = min(high - low, fetch * 4)

    def _candidates(self, queries: Vectors, region: str, fetch: int, low: int, high: int) -> np.ndarray:
        selector = faiss.IDSelectorRange(low, high)
        parameters = None if (low, high) == (0, len(self._ids[region])) else faiss.SearchParameters(sel=selector)  # ty: ignore[unknown-argument]
        _, positions = self._faiss[region].search(queries, fetch, params=parameters)
        return positions


def _ranges(species: list[str]) -> dict[str, tuple[int, int]]:
    out: dict[str, tuple[int, int]] = {}
    for i, name in enumerate(species):
        low, _ = out.get(name, (i, i))
        out[name] = (low, i + 1)
    return out
