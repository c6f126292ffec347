"""The FAISS indexes of a shard: planned, trained, set to reach the recall, written, and summed up for the manifest."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import faiss
import numpy as np
import pyarrow as pa

from rupantara import schema
from rupantara.bank import factory
from rupantara.bank.factory import IndexPlan, Setting
from rupantara.bank.queries import queries_between
from rupantara.bank.spec import BankSpec, index_path, settings_path
from rupantara.bank.store import VectorStore
from rupantara.bank.versions import BankVersion, ShardFiles
from rupantara.landmarks.regions import REGIONS
from rupantara.storage import uris
from rupantara.types import Vectors


def plan_of(rows: pa.Table, spec: BankSpec) -> IndexPlan:
    """Choose the index of a shard with these rows: a scan where there are too few to train any."""
    count = rows.num_rows // len(REGIONS)
    kind = spec.index if count >= factory.LEAST_TRAINED else factory.FLAT
    return factory.plan_index(count, spec.region_dim, kind, half=spec.half)


def vectors_of(rows: pa.Table, region: str, spec: BankSpec) -> Vectors:
    """Return the stored vectors of a region, float32 [n, dim]."""
    return schema.dense(schema.where(rows, region=region)["vector"], spec.region_dim).astype(np.float32)


def build_index(plan: IndexPlan, vectors: Vectors) -> Any:
    """Train on a sample that the seed decides, and add all."""
    rng = np.random.default_rng(factory.SEED)
    most = factory.training_rows(plan, len(vectors))
    sample = vectors if most == len(vectors) else vectors[np.sort(rng.choice(len(vectors), most, replace=False))]
    index = factory.train(plan, sample)
    factory.add(index, iter([vectors]))
    return index


def write_indexes(
    bank: str,
    prefix: str,
    place: tuple[int, int],
    plan: IndexPlan,
    made: Mapping[str, Any],
    rows: pa.Table,
    queries: Mapping[str, Vectors],
    spec: BankSpec,
    least: Mapping[str, tuple[int, float]] | None = None,
) -> None:
    """Set each region's index to reach the recall, and write it and what was measured; UserError when one does not reach it.

    `place` is the shard's number, and the number of shards; `least` are the nprobe and k_factor of a region that are not gone below.
    """
    shard, num_shards = place
    settings: dict[str, Any] = {}
    for region, index in made.items():
        vectors = vectors_of(rows, region, spec)
        asked = np.ascontiguousarray(queries.get(region, queries_between(vectors)), np.float32)
        wanted = factory.truth(VectorStore(vectors), asked)
        floor = (least or {}).get(region, (1, 1.0))
        setting = factory.tune(index, asked, wanted, spec.target_recall, num_shards, floor)
        data = faiss.serialize_index(index).tobytes()
        settings[region] = setting.as_json() | {"bytes": len(data), "vectors": len(vectors)}
        uris.write_bytes(uris.join(bank, index_path(prefix, shard, region)), data)
    kept = {"kind": plan.name, "regions": settings}
    uris.write_bytes(uris.join(bank, settings_path(prefix, shard)), json.dumps(kept, indent=1).encode())


def settings_of(base: BankVersion, shard: int) -> dict[str, tuple[int, float]]:
    """Read nprobe and k_factor of each region of a shard; none where it is scanned."""
    path = base.shards[shard].settings
    if not path:
        return {}
    regions = json.loads(uris.read_bytes(uris.join(base.uri, path)))["regions"]
    return {region: (int(one["nprobe"]), float(one["k_factor"])) for region, one in regions.items()}


def index_summary(bank: str, shards: Sequence[ShardFiles], spec: BankSpec) -> dict[str, Any]:
    """Return what the manifest says of the indexes: kind, least recall over regions and shards, bytes a vector."""
    read = [json.loads(uris.read_bytes(uris.join(bank, one.settings))) for one in shards if one.settings]
    if not read:
        return {"kind": factory.FLAT, "recall_at_1": 1.0, "recall_at_10": 1.0, "bytes_a_vector": 4.0 * spec.region_dim}
    regions = [region for one in read for region in one["regions"].values()]
    names = ("nprobe", "k_factor", "recall_at_1", "recall_at_10", "queries_per_s")
    first, tenth = factory.least_recall([Setting(**{name: region[name] for name in names}) for region in regions])
    vectors = sum(region["vectors"] for region in regions)
    return {
        "kind": ", ".join(sorted({one["kind"] for one in read})),
        "target_recall": spec.target_recall,
        "recall_at_1": first,
        "recall_at_10": tenth,
        "bytes_a_vector": round(sum(region["bytes"] for region in regions) / vectors, 1),
        "most_probes": max(region["nprobe"] for region in regions),
    }
