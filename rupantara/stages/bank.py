"""Features to shards of the bank: rows, and the FAISS files of large shards beside them; and changes of shards that there are."""

from collections.abc import Mapping
from typing import Any

import faiss
import numpy as np
import pyarrow as pa

from rupantara import schema
from rupantara.bank import factory
from rupantara.bank.factory import IndexPlan
from rupantara.bank.indexes import build_index, plan_of, settings_of, vectors_of, write_indexes
from rupantara.bank.queries import read_queries
from rupantara.bank.rows import bank_rows, select_shard
from rupantara.bank.spec import BankSpec
from rupantara.bank.versions import BankVersion
from rupantara.landmarks.regions import REGIONS
from rupantara.storage import tables, uris


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
        base: BankVersion,
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
