"""What decides a bank's rows and indexes, and how its index files are named."""

from dataclasses import dataclass

import pyarrow as pa

from rupantara import schema
from rupantara.bank.alignment import Alignment
from rupantara.bank.versions import BankVersion
from rupantara.storage import tables
from rupantara.storage.manifest import Manifest

COLUMNS = ("face_id", "domain", "species", "split")
"""Columns of a features table that a bank is made of, beside its vectors'."""

CODES = "regions_mu"
"""Vectors that a bank holds unless another column is named: a region VAE's codes."""


@dataclass(frozen=True)
class BankSpec:
    """What decides a bank's rows and indexes: length of a region's code, model, alignment, type of stored vectors, kind of index."""

    region_dim: int
    model_sha256: str
    alignment: Alignment
    half: bool = False
    index: str = "auto"
    target_recall: float = 0.99
    vectors: str = CODES

    @property
    def read(self) -> tuple[str, ...]:
        """Return the columns that are read of a features table."""
        return (*COLUMNS, self.vectors)

    @property
    def columns(self) -> pa.Schema:
        """Return the schema of the rows."""
        return schema.bank(self.region_dim, self.model_sha256, pa.float16() if self.half else pa.float32())


def spec_of(base: BankVersion) -> BankSpec:
    """Read off a bank what decides its rows and indexes."""
    config = base.manifest.recipe.config
    half, index, target = (config[name] for name in ("store", "index", "target_recall"))
    dim = int(base.manifest.extra["region_dim"])
    return BankSpec(dim, base.model_sha256, base.alignment, half == "float16", index, target, base.vectors)


def index_path(prefix: str, shard: int, region: str) -> str:
    """Name the FAISS file of one region of a shard, relative to the bank."""
    return f"index/{prefix}-{shard:04d}-{region}.faiss"


def settings_path(prefix: str, shard: int) -> str:
    """Name the file that keeps how a shard's indexes were set and what recall they reached."""
    return f"index/{prefix}-{shard:04d}.json"


def made_by(column: str) -> str:
    """Name the network of a vector column in a recipe."""
    return "region_vae" if column == CODES else column


def model_of(features: str, found: Manifest, column: str) -> str:
    """Return the hash of the network that made a vector column of a features table."""
    if column == CODES:
        return found.extra["model_sha256"]
    columns = tables.read_schema(features, found.data[0].path)
    named = columns.field(column).metadata if column in columns.names else None
    return (named or {}).get(b"model_sha256", b"").decode()
