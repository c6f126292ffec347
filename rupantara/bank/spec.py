"""What decides a bank's rows and indexes, and how its index files are named."""

from dataclasses import dataclass

import pyarrow as pa

from rupantara import schema
from rupantara.bank.alignment import Alignment
from rupantara.bank.versions import BankVersion

COLUMNS = ("face_id", "domain", "species", "split", "regions_mu")
"""Columns of a features table that a bank is made of."""


@dataclass(frozen=True)
class BankSpec:
    """What decides a bank's rows and indexes: length of a region's code, model, alignment, type of stored vectors, kind of index."""

    region_dim: int
    model_sha256: str
    alignment: Alignment
    half: bool = False
    index: str = "auto"
    target_recall: float = 0.99

    @property
    def columns(self) -> pa.Schema:
        """Return the schema of the rows."""
        return schema.bank(self.region_dim, self.model_sha256, pa.float16() if self.half else pa.float32())


def spec_of(base: BankVersion) -> BankSpec:
    """Read off a bank what decides its rows and indexes."""
    config = base.manifest.recipe.config
    half, index, target = (config[name] for name in ("store", "index", "target_recall"))
    dim = int(base.manifest.extra["region_dim"])
    return BankSpec(dim, base.model_sha256, base.alignment, half == "float16", index, target)


def index_path(prefix: str, shard: int, region: str) -> str:
    """Name the FAISS file of one region of a shard, relative to the bank."""
    return f"index/{prefix}-{shard:04d}-{region}.faiss"


def settings_path(prefix: str, shard: int) -> str:
    """Name the file that keeps how a shard's indexes were set and what recall they reached."""
    return f"index/{prefix}-{shard:04d}.json"
