"""Features to shards of the bank: rows, and the FAISS files of large shards beside them; and changes of shards that there are."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
import pyarrow as pa

from rupantara import schema
from rupantara.bank import alignment as domains
from rupantara.bank import factory, spaces, versions
from rupantara.bank.alignment import ANIMAL, HUMAN, Alignment
from rupantara.bank.factory import IndexPlan, Setting
from rupantara.bank.rows import bank_rows, select_shard
from rupantara.bank.store import VectorStore
from rupantara.landmarks.regions import REGIONS
from rupantara.metrics.cosine import unit
from rupantara.storage import tables, uris
from rupantara.storage.manifest import Manifest
from rupantara.types import Vectors

COLUMNS = ("face_id", "domain", "species", "split")
CODES = "regions_mu"
"""Vectors that a bank holds unless another column is named: a region VAE's codes."""

NUM_QUERIES = 512
"""Queries that recall is measured with, a region and shard."""


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


def spec_of(base: versions.BankVersion) -> BankSpec:
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


class BuildShard:
    """One-row batch with the column `shard` -> that shard's rows of `schema.bank`; writes the shard's FAISS files too."""

    def __init__(
        self, features: str, bank: str, prefix: str, num_shards: int, spec: BankSpec, chosen: frozenset[str]
    ) -> None:
        """Read the chosen faces from a features table; index files are named by `index_path`."""
        self._features, self._bank, self._prefix, self._num_shards = features, bank, prefix, num_shards
        self._spec, self._chosen = spec, chosen

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Build the shard."""
        shard = batch["shard"][0].as_py()
        rows = new_rows(self._features, self._chosen, shard, self._num_shards, self._spec)
        plan = plan_of(rows, self._spec)
        if plan.factory:
            queries = read_queries(self._features, self._chosen, self._spec)
            made = {region: build_index(plan, vectors_of(rows, region, self._spec)) for region in REGIONS}
            write_indexes(self._bank, self._prefix, (shard, self._num_shards), plan, made, rows, queries, self._spec)
        return rows


class ChangeShard:
    """One-row batch with the column `shard` -> the rows of a new segment, and the shard's new FAISS files beside them.

    With `features`, the segment holds the chosen faces that are new, and the indexes take them up. Without, it holds all of the
    shard's faces but the `removed` ones, and takes the place of its segments; `retrain` trains the indexes anew.
    """

    def __init__(
        self,
        base: versions.BankVersion,
        prefix: str,
        spec: BankSpec,
        *,
        features: str = "",
        chosen: frozenset[str] = frozenset(),
        removed: frozenset[str] = frozenset(),
        retrain: bool = False,
    ) -> None:
        """Change shards of version `base`."""
        self._base, self._prefix, self._spec = base, prefix, spec
        self._features, self._chosen, self._removed, self._retrain = features, chosen, removed, retrain

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Make the segment."""
        shard = batch["shard"][0].as_py()
        base, spec = self._base, self._spec
        known = base.rows(shard)
        if self._features:
            rows = new_rows(self._features, self._chosen, shard, len(base.shards), spec)
            whole = pa.concat_tables([known, rows])
        else:
            stay = ~np.isin(np.array(known["face_id"].to_pylist(), object), sorted(self._removed))
            rows = whole = known.filter(pa.array(stay)).sort_by([("species", "ascending"), ("feature_id", "ascending")])
        old = base.shards[shard].index
        plan = plan_of(whole, spec)
        if plan.factory:
            held = self._chosen | frozenset(known["face_id"].to_pylist())
            queries = read_queries(self._features, held, spec) if self._features else {}
            made = {region: self._index(old, region, plan, whole, rows) for region in REGIONS}
            # Without queries of its own, a change keeps at least to what the build's were found by.
            least = {} if queries else settings_of(base, shard)
            place = (shard, len(base.shards))
            write_indexes(base.uri, self._prefix, place, plan, made, whole, queries, spec, least)
        return rows

    def _index(self, old: Mapping[str, str], region: str, plan: IndexPlan, whole: pa.Table, rows: pa.Table) -> Any:
        if self._retrain or region not in old:
            return build_index(plan, vectors_of(whole, region, self._spec))
        found = faiss.deserialize_index(
            np.frombuffer(uris.read_bytes(uris.join(self._base.uri, old[region])), np.uint8)
        )
        if self._features:
            factory.add(found, iter([vectors_of(rows, region, self._spec)]))
        else:
            # What was learnt of the vectors stays, and only they are put in again.
            found.reset()
            factory.add(found, iter([vectors_of(whole, region, self._spec)]))
        return found


def new_rows(features: str, chosen: frozenset[str], shard: int, num_shards: int, spec: BankSpec) -> pa.Table:
    """Return the chosen faces' rows of one shard, sorted."""
    parts = tables.read_parts(features, spec.read, schema="features")
    found = [select_shard(schema.where_id(part, chosen), shard, num_shards) for part in parts]
    return bank_rows(pa.concat_tables(found), spec.columns, spec.alignment, spec.vectors)


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


def settings_of(base: versions.BankVersion, shard: int) -> dict[str, tuple[int, float]]:
    """Read nprobe and k_factor of each region of a shard; none where it is scanned."""
    path = base.shards[shard].settings
    if not path:
        return {}
    regions = json.loads(uris.read_bytes(uris.join(base.uri, path)))["regions"]
    return {region: (int(one["nprobe"]), float(one["k_factor"])) for region, one in regions.items()}


def index_summary(bank: str, shards: Sequence[versions.ShardFiles], spec: BankSpec) -> dict[str, Any]:
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


def fit_alignment(features: str, region_dim: int, column: str = CODES, *, pooled: bool = False) -> Alignment | None:
    """Fit on the train split of a features table; None when it lacks humans or animals."""
    return domains.fit(_train_codes(features, region_dim, column), pooled=pooled)


def _train_codes(features: str, region_dim: int, column: str) -> Iterator[tuple[str, Vectors]]:
    for part in tables.read_parts(features, (*COLUMNS, column), schema="features"):
        rows = schema.whole(schema.where(part, split="train"), column)
        for species in rows["species"].unique().to_pylist():
            codes = schema.where(rows, species=species)[column]
            yield species, schema.dense(codes, len(REGIONS), region_dim)


def write_spaces(features: str, bank: str, prefix: str, spec: BankSpec) -> str:
    """Fit the named spaces on the train split and write them beside the indexes; return the file, or "" without train animals."""
    sums = spaces.sums_by_species(_train_codes(features, spec.region_dim, spec.vectors))
    if sum(s.count for name, s in sums.items() if name != HUMAN) < 2:
        return ""
    path = f"index/{prefix}-spaces.npz"
    uris.write_bytes(uris.join(bank, path), spaces.fit(sums).to_bytes())
    return path


def model_of(features: str, found: Manifest, column: str) -> str:
    """Return the hash of the network that made a vector column."""
    if column == CODES:
        return found.extra["model_sha256"]
    field = tables.read_schema(features, found.data[0].path).field(column)
    return (field.metadata or {}).get(b"model_sha256", b"").decode()
