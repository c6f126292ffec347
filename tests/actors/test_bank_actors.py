"""Shards of a bank take no worker's place, say at once when there is no room, and end with who started them."""

import time

import numpy as np
import pytest
import ray

from actors import bank_actors, room
from actors.sharded_bank import BankUnavailableError, ShardedBank
from jobs import bank_report
from jobs.runtime import cluster
from rupantara.bank.versions import BankVersion
from rupantara.errors import UserError
from tests.banks import DIM, bank_job, feature_rows, write_features
from tests.in_process import in_this_process

SHARDS = 8


@pytest.fixture
def bank(tmp_path, monkeypatch, ray_cluster) -> BankVersion:
    in_this_process(monkeypatch)
    ids = [f"{i:032x}-0" for i in range(40)]
    features = write_features(tmp_path / "features", feature_rows(ids, 1))
    return bank_job(tmp_path / "bank", features=features, num_shards=SHARDS)


def test_a_bank_of_more_shards_than_processors_leaves_every_processor_to_the_workers(bank, capsys) -> None:
    before = ray.available_resources()
    client = ShardedBank.start(bank.uri)
    try:
        after = ray.available_resources()
        assert after["CPU"] == before["CPU"]
        held = before["memory"] - after["memory"]
        assert held == pytest.approx(sum(room.shard_bytes(bank)), rel=1e-6)
        told = bank_actors.running()
        assert sorted(one["shard"] for one in told.values() if one["bank"] == bank.uri) == list(range(SHARDS))
        bank_report.main(bank_report.Config(action="running", bank=bank.uri))
        assert f"{SHARDS} shard actors run" in capsys.readouterr().out
    finally:
        client.close()


def test_the_shards_that_are_left_are_ended_by_name(bank, capsys) -> None:
    client = ShardedBank.start(bank.uri)
    bank_report.main(bank_report.Config(action="stop", bank=bank.uri))
    assert f"{SHARDS} shard actors were ended" in capsys.readouterr().out
    deadline = time.monotonic() + 30
    while any(told.get("bank") == bank.uri for told in bank_actors.running().values()) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not any(told.get("bank") == bank.uri for told in bank_actors.running().values())
    with pytest.raises(BankUnavailableError):
        client.histogram(np.ones((1, DIM), np.float32), "eyes", "cat", timeout_s=1.0)


@ray.remote(num_cpus=0)
class Owner:
    """Starts a bank as a job's driver or a deployment's replica does."""

    def start(self, uri: str) -> None:
        self.bank = ShardedBank.start(uri)


def test_shards_end_with_who_started_them(bank) -> None:
    owner = Owner.remote()
    ray.get(owner.start.remote(bank.uri))
    ray.kill(owner)
    deadline = time.monotonic() + 30
    while bank_actors.running() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not bank_actors.running()


def test_what_does_not_fit_is_said_within_seconds(bank, monkeypatch) -> None:
    started = time.monotonic()
    with pytest.raises(BankUnavailableError, match="8 bank shards of 1 CPUs need 8, the cluster has 4"):
        ShardedBank.start(bank.uri, num_cpus=1.0)
    monkeypatch.setattr(room, "PROCESS_BYTES", int(ray.cluster_resources()["memory"] / 7))
    with pytest.raises(BankUnavailableError, match=r"the bank's 8 shards need .* of memory.*: add nodes"):
        ShardedBank.start(bank.uri)
    assert time.monotonic() - started < 10


def test_workers_that_never_fit_are_an_error_and_those_that_wait_are_told(ray_cluster, caplog) -> None:
    with pytest.raises(UserError, match="--cpus-per-worker 5 must be at most the cluster's 4 CPUs"):
        cluster.require_room(1, 5.0, 0.0)
    with pytest.raises(UserError, match="3 workers of 2 CPUs need 6, and the cluster has 4: --workers 2 fit"):
        cluster.require_room(3, 2.0, 0.0)
    with pytest.raises(UserError, match="--gpus-per-worker 1 needs a GPU, and the cluster has none"):
        cluster.require_room(1, 1.0, 1.0)

    @ray.remote(num_cpus=3)
    class Busy:
        def ready(self) -> bool:
            return True

    busy = Busy.remote()
    ray.get(busy.ready.remote())
    with caplog.at_level("WARNING", logger="jobs"):
        cluster.require_room(1, 2.0, 0.0)
    ray.kill(busy)
    assert "waiting: a worker needs 2 CPU, and 1 of the cluster's 4 are free" in caplog.text
