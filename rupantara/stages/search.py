"""Search as a stage of a Ray Dataset: batches of features in, the same rows with what the bank found for each region out."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from rupantara import schema
from rupantara.bank.alignment import Alignment
from rupantara.bank.hits import Hits
from rupantara.landmarks.regions import REGIONS
from rupantara.metrics.cosine import unit


class SearchedBank(Protocol):
    """What the stage needs of a bank's client."""

    @property
    def alignment(self) -> Alignment:
        """Return how codes of the two domains are brought into one space."""
        ...

    def search_regions(
        self, queries: dict[str, np.ndarray], k: int, species: str = "", **options: Any
    ) -> dict[str, Hits]:
        """Search several regions in one call."""
        ...


class SearchBank:
    """Batch of features with `domain` and `regions_mu` -> the batch with `REGION_ids`, `REGION_scores` and `partial`.

        features.map_batches(SearchBank, fn_constructor_args=(client,), batch_format="pyarrow", concurrency=2)

    Ids are lists of feature ids, best first; scores their cosines. Both are null for a row without a finite vector.
    """

    def __init__(
        self,
        bank: SearchedBank,
        k: int = 10,
        regions: Sequence[str] = REGIONS,
        species: str = "",
        *,
        exclude_self: bool = True,
        allow_partial: bool = False,
    ) -> None:
        """Find the `k` best of a species ("" = all) for each region; with `exclude_self` a face is not found by itself."""
        self._bank, self._k, self._regions, self._species = bank, k, tuple(regions), species
        self._exclude_self, self._partial = exclude_self, allow_partial

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Search for the rows of a batch."""
        whole = schema.is_whole(batch["regions_mu"])
        found = self._search(batch.filter(pa.array(whole)))
        # A row that was not asked for has an index that is null, and so no answer.
        places = pa.array(np.cumsum(whole) - 1, pa.int64(), mask=~whole)
        for name in found.column_names:
            batch = batch.append_column(name, found[name].combine_chunks().take(places))
        partial = bool(found.schema.metadata[b"partial"] == b"1")
        return batch.append_column("partial", pa.array([partial] * batch.num_rows, pa.bool_()))

    def _search(self, batch: pa.Table) -> pa.Table:
        """Return `REGION_ids` and `REGION_scores` of rows that have vectors."""
        dim = batch.schema.field("regions_mu").type.list_size // len(REGIONS)
        codes = schema.dense(batch["regions_mu"], len(REGIONS), dim)
        domains = np.array(batch["domain"].to_pylist(), object)
        aligned = np.empty_like(codes)
        for domain in sorted(set(domains)):
            aligned[domains == domain] = self._bank.alignment.align(codes[domains == domain], domain)
        units = unit(aligned)[0]
        queries = {region: np.ascontiguousarray(units[:, REGIONS.index(region)]) for region in self._regions}
        exclude = batch["face_id"].to_pylist() if self._exclude_self else None
        options = {"exclude": exclude, "vectors": False, "allow_partial": self._partial}
        found = self._bank.search_regions(queries, self._k, self._species, **options)
        partial = any(hits.partial for hits in found.values())
        columns: dict[str, pa.Array] = {}
        for region, hits in found.items():
            there = np.isfinite(hits.scores)
            ids = [row[ok].tolist() for row, ok in zip(hits.ids, there, strict=True)]
            scores = [row[ok].tolist() for row, ok in zip(hits.scores, there, strict=True)]
            columns[f"{region}_ids"] = pa.array(ids, pa.list_(pa.string()))
            columns[f"{region}_scores"] = pa.array(scores, pa.list_(pa.float32()))
        return pa.table(columns).replace_schema_metadata({"partial": "1" if partial else "0"})
