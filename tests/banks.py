"""Feature tables and banks without networks: random codes of drawn ids."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jobs import build_bank
from jobs.build_bank import Config
from rupantara import schema
from rupantara.bank import versions
from rupantara.bank.hits import Hits, merge_hits
from rupantara.bank.index import BankIndex
from rupantara.landmarks.regions import REGIONS
from rupantara.storage import manifest, tables, uris
from rupantara.storage.recipe import Recipe

DIM = 8
SPECIES = ("cat", "dog", "fox")


def feature_rows(
    names: Sequence[str], seed: int, *, dim: int = DIM, domain: str = "animal", copies: bool = False
) -> pa.Table:
    """Return rows of a features table; with `copies` many share one code."""
    rng = np.random.default_rng(seed)
    codes = rng.normal(size=(len(names), len(REGIONS), dim)).astype(np.float32)
    if copies:
        codes = codes[rng.integers(0, max(1, len(names) // 3), len(names))]
    kinds = (
        [SPECIES[i] for i in rng.integers(0, len(SPECIES), len(names))]
        if domain == "animal"
        else ["human"] * len(names)
    )
    field = schema.vector_field("regions_mu", len(REGIONS), dim, model_sha256="m" * 64, normalized=False)
    columns = [list(names), [domain] * len(names), kinds, ["train"] * len(names), schema.vector_array(codes)]
    return pa.table(columns, schema=schema.features([field]))


def write_features(uri: Path, rows: pa.Table) -> str:
    """Write a complete features table of two files."""
    recipe = Recipe("extract", 1, {"rows": rows["face_id"].to_pylist(), "at": str(uri)})
    running = manifest.begin(str(uri), "features", recipe, version=schema.VERSION, overwrite=False)
    assert running is not None
    half = rows.num_rows // 2
    for i, part in enumerate((rows.slice(0, half), rows.slice(half))):
        tables.write_part(str(uri), running.fingerprint, i, part, part.num_rows)
    tables.commit_parts(str(uri), running, 2, 0.0, model_sha256="m" * 64)
    return str(uri)


def bank_job(bank: Path | str, action: str = "build", **flags: Any) -> versions.BankVersion:
    """Run the job and open what it made; raw codes are compared unless `alignment` says otherwise."""
    options = {"workers": 1, "alignment": "none"} | flags
    build_bank.main(Config(bank=str(bank), action=action, **options))  # ty: ignore[invalid-argument-type]
    return versions.latest(str(bank))


def indexes(found: versions.BankVersion) -> list[BankIndex]:
    """Load each shard as its actor does."""
    out = []
    for i, shard in enumerate(found.shards):
        stored = {region: uris.read_bytes(uris.join(found.uri, path)) for region, path in shard.index.items()}
        out.append(BankIndex(found.rows(i), stored))
    return out


def search(
    found: versions.BankVersion, queries: np.ndarray, region: str, k: int, species: str = "", **options: Any
) -> Hits:
    """Search all shards in this process."""
    return merge_hits([index.search(queries, region, k, species, **options) for index in indexes(found)], k)
