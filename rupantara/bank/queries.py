"""What a bank is asked and aligned by while it is built: codes of a features table that are not in it."""

import logging
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from rupantara import schema
from rupantara.bank import alignment as domains
from rupantara.bank import factory, spaces
from rupantara.bank.alignment import ANIMAL, HUMAN, Alignment
from rupantara.bank.spec import CODES, COLUMNS, BankSpec
from rupantara.landmarks.regions import REGIONS
from rupantara.metrics.cosine import unit
from rupantara.storage import tables, uris
from rupantara.types import Vectors

log = logging.getLogger(__name__)
NUM_QUERIES = 512
"""Queries that recall is measured with, a region and shard."""


def read_queries(features: str, chosen: frozenset[str], spec: BankSpec) -> dict[str, Vectors]:
    """Return unit queries by region out of a features table that are not in the bank: humans, else animals that were not chosen."""
    found: dict[str, list[np.ndarray]] = {HUMAN: [], ANIMAL: []}
    for part in tables.read_parts(features, spec.read, schema="features"):
        for domain, rows in found.items():
            fresh = schema.where(part, domain=domain)
            out = pa.array([i not in chosen for i in fresh["face_id"].to_pylist()], pa.bool_())
            asked = schema.whole(fresh.filter(out), spec.vectors)
            rows.append(schema.dense(asked[spec.vectors], len(REGIONS), spec.region_dim))
    for domain, rows in found.items():
        codes = np.concatenate(rows)
        if len(codes):
            step = max(1, len(codes) // NUM_QUERIES)
            units = unit(spec.alignment.align(codes[::step][:NUM_QUERIES], domain))[0]
            return {region: np.ascontiguousarray(units[:, i]) for i, region in enumerate(REGIONS)}
    return {}


def queries_between(vectors: Vectors) -> Vectors:
    """Return queries half-way between pairs of stored vectors, where there are no others: none of them is in the bank."""
    rng = np.random.default_rng(factory.SEED)
    a, b = (vectors[rng.integers(0, len(vectors), NUM_QUERIES)] for _ in range(2))
    return unit(0.6 * a + 0.4 * b)[0]


def fit_alignment(features: str, region_dim: int, column: str = CODES, *, pooled: bool = False) -> Alignment | None:
    """Fit on the train split of a features table; None when it lacks humans or animals."""
    return domains.fit(train_codes(features, region_dim, column), pooled=pooled)


def train_codes(features: str, region_dim: int, column: str) -> Iterator[tuple[str, Vectors]]:
    """Yield (species, codes [n, 5, dim]) of the train split, file by file."""
    for part in tables.read_parts(features, (*COLUMNS, column), schema="features"):
        rows = schema.whole(schema.where(part, split="train"), column)
        for species in rows["species"].unique().to_pylist():
            codes = schema.where(rows, species=species)[column]
            yield species, schema.dense(codes, len(REGIONS), region_dim)


def write_spaces(features: str, bank: str, prefix: str, spec: BankSpec) -> str:
    """Fit the named spaces on the train split and write them beside the indexes; return the file, or "" without train animals."""
    sums = spaces.sums_by_species(train_codes(features, spec.region_dim, spec.vectors))
    if sum(s.count for name, s in sums.items() if name != HUMAN) < 2:
        return ""
    path = f"index/{prefix}-spaces.npz"
    uris.write_bytes(uris.join(bank, path), spaces.fit(sums).to_bytes())
    return path


def alignment_of(features: str, region_dim: int, kind: str, column: str = CODES) -> Alignment:
    """Return the alignment of the domains that a bank's vectors are brought by: `moments` or `pooled` of the train split, or `none`."""
    fitted = fit_alignment(features, region_dim, column, pooled=kind == "pooled") if kind != "none" else None
    if fitted is None and kind != "none":
        log.info("alignment is off: %s lacks train humans or animals", features)
    return fitted or Alignment.identity(region_dim)
