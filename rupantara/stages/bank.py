"""Features to one shard of the bank: its rows, and its FAISS files beside them."""

from collections.abc import Iterator

import pyarrow as pa

from rupantara import schema
from rupantara.bank import alignment as domains
from rupantara.bank.alignment import Alignment
from rupantara.bank.index import BankIndex
from rupantara.bank.rows import bank_rows, select_shard
from rupantara.landmarks.regions import REGIONS
from rupantara.storage import tables, uris
from rupantara.types import Vectors

COLUMNS = ("face_id", "domain", "species", "split", "regions_mu")


class BuildShard:
    """One-row batch with the column `shard` -> that shard's rows of `schema.bank`; writes the shard's FAISS files too."""

    def __init__(
        self,
        features: str,
        bank: str,
        prefix: str,
        num_shards: int,
        region_dim: int,
        model_sha256: str,
        chosen: frozenset[str],
        alignment: Alignment,
        *,
        store: pa.DataType | None = None,
        index: bool = True,
    ) -> None:
        """Read the chosen faces from a features table; index files are named `index/PREFIX-SHARD-REGION.faiss`."""
        self._features, self._bank, self._prefix, self._num_shards = features, bank, prefix, num_shards
        self._schema = schema.bank(region_dim, model_sha256, store)
        self._chosen, self._alignment, self._with_index = chosen, alignment, index

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Build the shard."""
        shard = batch["shard"][0].as_py()
        found = [self._select(part, shard) for part in tables.read_parts(self._features, COLUMNS, schema="features")]
        rows = bank_rows(pa.concat_tables(found), self._schema, self._alignment)
        for region, data in BankIndex(rows).faiss_files().items() if self._with_index else ():
            uris.write_bytes(uris.join(self._bank, f"index/{self._prefix}-{shard:04d}-{region}.faiss"), data)
        return rows

    def _select(self, part: pa.Table, shard: int) -> pa.Table:
        return select_shard(schema.where_id(part, self._chosen), shard, self._num_shards)


def fit_alignment(features: str, region_dim: int) -> Alignment | None:
    """Fit on the train split of a features table; None when it lacks humans or animals."""

    def groups() -> Iterator[tuple[str, Vectors]]:
        for part in tables.read_parts(features, COLUMNS, schema="features"):
            rows = schema.where(part, split="train")
            for species in rows["species"].unique().to_pylist():
                codes = schema.where(rows, species=species)["regions_mu"]
                yield species, schema.dense(codes, len(REGIONS), region_dim)

    return domains.fit(groups())
