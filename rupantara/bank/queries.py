"""What a bank is asked and aligned by while it is built: codes of a features table that are not in it."""

import logging
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from rupantara import schema
from rupantara.bank import alignment as domains
from rupantara.bank import factory
from rupantara.bank.alignment import ANIMAL, HUMAN, Alignment
from rupantara.bank.spec import COLUMNS, BankSpec
from rupantara.landmarks.regions import REGIONS
from rupantara.metrics.cosine import unit
from rupantara.storage import tables
from rupantara.types import Vectors

log = logging.getLogger(__name__)
NUM_QUERIES = 512
"""Queries that recall is measured with, a region and shard."""


def read_queries(features: str, chosen: frozenset[str], spec: BankSpec) -> dict[str, Vectors]:
    """Return unit queries by region out of a features table that are not in the bank: humans, else animals that were not chosen."""
    found: dict[str, list[np.ndarray]] = {HUMAN: [], ANIMAL: []}
    for part in tables.read_parts(features, COLUMNS, schema="features"):
        for domain, rows in found.items():
            fresh = schema.where(part, domain=domain)
            out = pa.array([i not in chosen for i in fresh["face_id"].to_pylist()], pa.bool_())
            asked = schema.whole(fresh.filter(out), "regions_mu")
            rows.append(schema.dense(asked["regions_mu"], len(REGIONS), spec.region_dim))
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


def fit_alignment(features: str, region_dim: int) -> Alignment | None:
    """Fit on the train split of a features table; None when it lacks humans or animals."""

    def groups() -> Iterator[tuple[str, Vectors]]:
        for part in tables.read_parts(features, COLUMNS, schema="features"):
            rows = schema.whole(schema.where(part, split="train"), "regions_mu")
            for species in rows["species"].unique().to_pylist():
                codes = schema.where(rows, species=species)["regions_mu"]
                yield species, schema.dense(codes, len(REGIONS), region_dim)

    return domains.fit(groups())


def alignment_of(features: str, region_dim: int, kind: str) -> Alignment:
    """Return the alignment of the domains that a bank's codes are brought by: `moments` of the train split, or `none`."""
    fitted = fit_alignment(features, region_dim) if kind == "moments" else None
    if fitted is None and kind == "moments":
        log.info("alignment is off: %s lacks train humans or animals", features)
    return fitted or Alignment.identity(region_dim)
