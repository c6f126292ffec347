"""Recall against speed of approximate indexes of one shard, over their settings."""

import logging
import time
from dataclasses import dataclass
from typing import Any

from rupantara.bank import factory
from rupantara.bank.indexes import build_index, vectors_of
from rupantara.bank.queries import queries_between, read_queries
from rupantara.bank.spec import spec_of
from rupantara.bank.store import VectorStore
from rupantara.bank.versions import BankVersion
from rupantara.landmarks.regions import REGIONS

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sweep:
    """What was swept: the index, its vectors a region, and by region the scan's queries a second and what each setting reached."""

    index: str
    vectors: int
    scanned: dict[str, float]
    settings: dict[str, list[dict[str, Any]]]


def sweep(found: BankVersion, shard: int, kind: str, features: str = "") -> Sweep:
    """Try the settings of an index of `kind` (auto = what suits the size, approximate in any case), asked by a features table's humans."""
    spec, rows = spec_of(found), found.rows(shard)
    queries = read_queries(features, frozenset(rows["face_id"].to_pylist()), spec) if features else {}
    count = rows.num_rows // len(REGIONS)
    if kind == "auto" and count <= factory.FLAT_ROWS:
        kind = f"IVF{max(4, factory.num_centres(count) // 2)},PQ{spec.region_dim // 2}x4fs,RFlat"
    plan = factory.plan_index(count, spec.region_dim, kind, half=spec.half)
    measured, flat = {}, {}
    for region in REGIONS:
        vectors = vectors_of(rows, region, spec)
        asked = queries.get(region, queries_between(vectors))
        started = time.perf_counter()
        wanted = factory.truth(VectorStore(vectors), asked)
        flat[region] = len(asked) / (time.perf_counter() - started)
        index = build_index(plan, vectors)
        measured[region] = [
            factory.measure(index, asked, wanted, nprobe, k).as_json() for nprobe, k in factory.settings_to_try(index)
        ]
        log.info("%s: %d settings", region, len(measured[region]))
    return Sweep(plan.name, count, flat, measured)
