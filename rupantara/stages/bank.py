"""Features to one shard of the bank: its rows, and its FAISS files beside them."""

import pyarrow as pa

from rupantara import schema
from rupantara.bank.index import BankIndex
from rupantara.bank.rows import bank_rows, select_shard
from rupantara.storage import tables, uris

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
        splits: tuple[str, ...],
    ) -> None:
        """Read animals of these splits from a features table; index files are named `index/PREFIX-SHARD-REGION.faiss`."""
        self._features, self._bank, self._prefix, self._num_shards = features, bank, prefix, num_shards
        self._schema, self._splits = schema.bank(region_dim, model_sha256), splits

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Build the shard."""
        shard = batch["shard"][0].as_py()
        found = [self._select(part, shard) for part in tables.read_parts(self._features, COLUMNS, schema="features")]
        rows = bank_rows(pa.concat_tables(found), self._schema)
        for region, data in BankIndex(rows).faiss_files().items():
            uris.write_bytes(uris.join(self._bank, f"index/{self._prefix}-{shard:04d}-{region}.faiss"), data)
        return rows

    def _select(self, part: pa.Table, shard: int) -> pa.Table:
        columns = zip(part["domain"].to_pylist(), part["split"].to_pylist(), strict=True)
        animals = part.filter(pa.array([d == "animal" and s in self._splits for d, s in columns], pa.bool_()))
        return select_shard(animals, shard, self._num_shards)
