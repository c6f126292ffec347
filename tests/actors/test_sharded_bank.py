"""The bank over actors answers like one index, and comes back after a kill."""

import os
import pickle
import signal
import time

import numpy as np
import pytest
import ray

from actors.bank_shard import BankShard
from actors.sharded_bank import BankUnavailableError, ShardedBank
from rupantara.bank.index import BankIndex
from rupantara.metrics.cosine import unit
from rupantara.storage import tables


@pytest.fixture(scope="module")
def bank(run):
    client = ShardedBank.start(run.bank)
    yield client
    client.close()


@pytest.mark.parametrize("species", ["", "tiger"])
def test_shards_answer_like_one_index(run, bank, species):
    whole = BankIndex(tables.read(run.bank, schema="bank"))
    queries, _ = unit(np.random.default_rng(0).normal(size=(5, 128)))
    for k in (1, 7, 200):
        expected, found = whole.search(queries, "eyes", k, species), bank.search(queries, "eyes", k, species)
        assert (found.ids == expected.ids).all()
        np.testing.assert_array_equal(found.scores, expected.scores)
        assert not found.partial


def test_the_client_travels_to_workers(bank):
    queries, _ = unit(np.random.default_rng(1).normal(size=(2, 128)))
    again = pickle.loads(pickle.dumps(bank))
    assert (again.search(queries, "nose", 3).ids == bank.search(queries, "nose", 3).ids).all()


def test_a_killed_shard_reloads_and_answers_right(bank):
    queries, _ = unit(np.random.default_rng(2).normal(size=(3, 128)))
    before = bank.search(queries, "mouth", 4)
    os.kill(ray.get(bank._shards[0].pid.remote()), signal.SIGKILL)
    deadline = time.monotonic() + 60
    while True:
        try:
            after = bank.search(queries, "mouth", 4)
            break
        except BankUnavailableError:
            assert time.monotonic() < deadline, "the shard did not come back within 60 s"
            time.sleep(0.5)
    assert (after.ids == before.ids).all()


def test_a_shard_that_is_gone_is_an_error_or_a_flagged_answer(run):
    client = ShardedBank.start(run.bank)
    queries, _ = unit(np.random.default_rng(3).normal(size=(2, 128)))
    ray.kill(client._shards[1])
    with pytest.raises(BankUnavailableError):
        client.search(queries, "ears", 3)
    partial = client.search(queries, "ears", 3, allow_partial=True)
    alone = BankShard(run.bank, 0).search(queries, "ears", 3)
    assert partial.partial
    assert (partial.ids == alone.ids).all()
    client.close()
