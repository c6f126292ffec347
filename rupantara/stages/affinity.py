"""Features to affinity: how near each region of each face is to each species."""

from typing import Protocol

import numpy as np
import pyarrow as pa

from rupantara import schema
from rupantara.bank.affinity import EXACT_ROWS, mean_affinity, percentile_of_counts, percentile_of_top, top_needed
from rupantara.bank.alignment import HUMAN, Alignment
from rupantara.bank.hits import Hits
from rupantara.landmarks.regions import REGIONS
from rupantara.metrics.cosine import unit
from rupantara.types import Vectors


class AffinityBank(Protocol):
    """What affinity needs of a bank."""

    @property
    def alignment(self) -> Alignment:
        """Return how codes of the two domains are brought into one space."""
        ...

    def search(self, queries: Vectors, region: str, k: int, species: str = "", *, vectors: bool = True) -> Hits:
        """Find the k best features."""
        ...

    def histogram(self, queries: Vectors, region: str, species: str) -> np.ndarray:
        """Count cosines with all features of a species."""
        ...

    def species_means(self, region: str) -> tuple[list[str], Vectors, np.ndarray]:
        """Return species, mean unit vectors and counts."""
        ...


class MapAffinity:
    """Batch of features -> batch of `schema.AFFINITY`: one row a face, region and species."""

    def __init__(self, bank: AffinityBank, chosen: frozenset[str], region_dim: int, top: int = 5) -> None:
        """Map the chosen face ids, keeping the `top` nearest features of each species."""
        self._bank, self._dim, self._top, self._chosen = bank, region_dim, top, chosen

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Map the chosen faces of the batch that have a vector."""
        rows = schema.whole(schema.where_id(batch, self._chosen), "regions_mu")
        codes = schema.dense(rows["regions_mu"], len(REGIONS), self._dim)
        ids = rows["face_id"].to_pylist()
        parts = [self._region(ids, codes[:, i], region) for i, region in enumerate(REGIONS)] if ids else []
        return pa.concat_tables(parts) if parts else schema.AFFINITY.empty_table()

    def _region(self, ids: list[str], codes: np.ndarray, region: str) -> pa.Table:
        queries, _ = unit(self._bank.alignment.align(codes, HUMAN, region))
        names, means, counts = self._bank.species_means(region)
        mean = mean_affinity(queries, means)
        tables = []
        for i, (species, count) in enumerate(zip(names, counts, strict=True)):
            few = count <= EXACT_ROWS
            most = max(top_needed(int(count)) if few else 1, self._top)
            hits = self._bank.search(queries, region, most, species, vectors=False)
            high = percentile_of_top(hits.scores, int(count)) if few else self._percentile(queries, region, species)
            found = np.isfinite(hits.scores[:, : self._top])
            columns = {
                "face_id": ids,
                "region": [region] * len(ids),
                "species": [species] * len(ids),
                "mean": mean[:, i].astype(np.float32),
                "max": hits.scores[:, 0],
                "percentile_95": high.astype(np.float32),
                "top_ids": [row[ok].tolist() for row, ok in zip(hits.ids[:, : self._top], found, strict=True)],
                "top_scores": [row[ok].tolist() for row, ok in zip(hits.scores[:, : self._top], found, strict=True)],
            }
            tables.append(pa.table(columns, schema=schema.AFFINITY))
        return pa.concat_tables(tables)

    def _percentile(self, queries: Vectors, region: str, species: str) -> np.ndarray:
        return percentile_of_counts(self._bank.histogram(queries, region, species))
