"""Approximate indexes: the order in which settings are tried, and the recall that a shard's own rows foretell of the whole bank."""

import numpy as np
import pytest

from rupantara.bank import factory
from rupantara.bank.indexes import build_index
from rupantara.bank.store import VectorStore
from rupantara.metrics.cosine import unit

DIM = 32


def clustered(count: int, seed: int) -> np.ndarray:
    middle = np.random.default_rng(0).normal(size=(60, DIM))
    rng = np.random.default_rng(seed)
    return unit((middle[rng.integers(0, 60, count)] + 0.7 * rng.normal(size=(count, DIM))).astype(np.float32))[0]


@pytest.mark.parametrize("shards", [1, 2, 4])
def test_the_recall_of_a_shard_foretells_that_of_the_whole(shards):
    vectors, queries = clustered(12_000, 1), clustered(400, 2)
    owner = np.random.default_rng(3).integers(0, shards, len(vectors))
    plan = factory.plan_index(12_000 // shards, DIM, "IVF64,PQ16x4fs,RFlat")
    foretold, found = [], []
    for shard in range(shards):
        own = vectors[owner == shard]
        index = build_index(plan, own)
        wanted = factory.truth(VectorStore(own), queries)
        foretold.append(factory.measure(index, queries, wanted, 1, 2.0, shards).recall_at_10)
        factory.apply(index, 1, 2.0)
        found.append(index.search(queries, factory.K)[0])
    best = factory.truth(VectorStore(vectors), queries)[:, -1:] - factory.SAME
    whole = (np.concatenate(found, 1) >= best).sum(1).clip(max=factory.K).mean() / factory.K
    assert 0.5 < whole < 0.98
    assert abs(np.mean(foretold) - whole) < 0.02


def test_one_shard_alone_has_the_recall_that_it_is_measured_with():
    vectors, queries = clustered(3_000, 1), clustered(200, 2)
    index = build_index(factory.plan_index(3_000, DIM, "IVF16,PQ16x4fs,RFlat"), vectors)
    wanted = factory.truth(VectorStore(vectors), queries)
    told = factory.measure(index, queries, wanted, 1, 2.0)
    scores = index.search(queries, factory.K)[0]
    assert told.recall_at_10 == pytest.approx((scores >= wanted[:, -1:] - factory.SAME).mean())


def test_settings_are_tried_from_the_quickest_to_the_surest():
    index = build_index(factory.plan_index(4_000, DIM, "IVF64,PQ16x4fs,RFlat"), clustered(4_000, 1))
    tried = factory.settings_to_try(index)
    assert (tried[0], tried[-1]) == ((1, 2.0), (64, 64.0))
    assert len(set(tried)) == len(tried) == 12 * 11
    queries = clustered(100, 2)
    wanted = factory.truth(VectorStore(clustered(4_000, 1)), queries)
    setting = factory.tune(index, queries, wanted, 0.9)
    assert setting.recall_at_10 >= 0.9
    earlier = tried[: tried.index((setting.nprobe, setting.k_factor))]
    assert all(factory.measure(index, queries, wanted, *other).recall_at_10 < 0.9 for other in earlier)
