"""The bank over actors answers like one index, and comes back after a kill."""

import os
import pickle
import shutil
import signal
import threading
import time
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import ray
import torch
from ray.exceptions import ActorUnavailableError

from actors.bank_shard import BankShard
from actors.sharded_bank import BankUnavailableError, ShardedBank
from jobs import build_bank
from rupantara.bank import versions
from rupantara.bank.index import BankIndex
from rupantara.errors import UserError
from rupantara.landmarks.regions import REGIONS
from rupantara.metrics.cosine import unit
from rupantara.stages.search import SearchBank
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


def test_shards_give_the_codes_of_animals_that_are_there(run, bank):
    rows = tables.read(run.bank, schema="bank")
    ids = rows["face_id"].unique().to_pylist()[::7]
    found = bank.animals([*ids, "nobody"])
    assert sorted(found) == sorted(ids)
    for name in ids:
        own = {row["region"]: row for row in rows.filter(pc.field("face_id") == name).to_pylist()}
        codes = [np.array(own[region]["vector"]) * own[region]["norm"] for region in REGIONS]
        np.testing.assert_allclose(found[name], codes, rtol=1e-5, atol=1e-6)


def test_the_client_travels_to_workers(bank):
    queries, _ = unit(np.random.default_rng(1).normal(size=(2, 128)))
    again = pickle.loads(pickle.dumps(bank))
    assert (again.search(queries, "nose", 3).ids == bank.search(queries, "nose", 3).ids).all()


def test_a_killed_shard_reloads_and_answers_right(bank):
    queries, _ = unit(np.random.default_rng(2).normal(size=(3, 128)))
    before = bank.search(queries, "mouth", 4)
    os.kill(ray.get(bank._view.handles[0][0].pid.remote()), signal.SIGKILL)
    after = bank.search(queries, "mouth", 4, timeout_s=60)
    assert (after.ids == before.ids).all()


def test_a_shard_that_is_gone_is_an_error_or_a_flagged_answer(run):
    client = ShardedBank.start(run.bank)
    queries, _ = unit(np.random.default_rng(3).normal(size=(2, 128)))
    ray.kill(client._view.handles[1][0])
    with pytest.raises(BankUnavailableError, match="1 of 2 bank shards did not answer"):
        client.search(queries, "ears", 3)
    partial = client.search(queries, "ears", 3, allow_partial=True)
    alone = BankShard(run.bank, 0).search((1, versions.latest(run.bank).content), queries, "ears", 3)
    assert partial.partial
    assert (partial.ids == alone.ids).all()
    client.close()


def test_regions_together_answer_as_one_by_one(bank):
    queries, _ = unit(np.random.default_rng(4).normal(size=(3, 128)))
    names = ("eyes", "nose")
    together = bank.search_regions(dict.fromkeys(names, queries), 6, vectors=False)
    for name in names:
        assert (together[name].ids == bank.search(queries, name, 6).ids).all()
    whole = BankIndex(tables.read(bank.uri, schema="bank"))
    tensors = dict.fromkeys(names, torch.from_numpy(queries))
    found = bank.search_faces(tensors, 5, weights={"eyes": 2.0})
    expected = whole.search_faces(dict.fromkeys(names, queries), {"eyes": 2.0}, 5)
    assert (found.ids == expected.ids).all()
    assert (bank.histogram(queries, "nose", "cat") == whole.histogram(queries, "nose", "cat")).all()


def test_a_question_that_makes_no_sense_is_its_own_error(bank):
    queries, _ = unit(np.random.default_rng(6).normal(size=(2, 128)))
    for changed, message in (
        ({"queries": np.ones((1, 3), np.float32)}, r"queries must be \[n, 128\]"),
        ({"queries": queries * 3}, "queries must be of unit length, got 3 at row 0"),
        ({"queries": queries * np.nan}, "queries must be of unit length, got nan"),
        ({"region": "tail"}, "region must be one of eyes"),
        ({"species": "unicorn"}, "species must be one of .*, got 'unicorn'"),
        ({"k": 0}, "k must be at least 1"),
        ({"exclude": ["a"]}, "exclude must name a face for each of 2 queries"),
    ):
        with pytest.raises(ValueError, match=message):
            bank.search(**({"queries": queries, "region": "eyes", "k": 1} | changed))
    with pytest.raises(UserError, match="replicas must be at least 1"):
        ShardedBank.start(bank.uri, replicas=0)


def test_codes_of_a_table_become_queries_that_find_themselves(run, bank):
    rows = tables.read(run.features, schema="features")
    animals = rows.filter(pa.array([domain == "animal" for domain in rows["domain"].to_pylist()]))
    made = bank.queries(np.stack(animals["regions_mu"].to_numpy()), "animal")
    found = bank.search(made["nose"], "nose", 2)
    faces = animals["face_id"].to_pylist()
    np.testing.assert_allclose(found.scores[:, 0], 1, atol=1e-5)
    assert [name.partition("/")[0] for name in found.ids[:, 0]] == faces
    # Both a face's id and the id that a search returned say whom not to find.
    for names in (faces, list(found.ids[:, 0])):
        assert bank.search(made["nose"], "nose", 1, exclude=names).ids[:, 0].tolist() == found.ids[:, 1].tolist()
    with pytest.raises(ValueError, match="domain must be human or animal, got 'dog'"):
        bank.queries(np.zeros((1, 5, 128)), "dog")


def grown(run, tmp_path) -> str:
    """Return a copy of the run's bank."""
    shutil.copytree(run.bank, tmp_path / "bank")
    return str(tmp_path / "bank")


def remove_some(bank: str, count: int) -> None:
    found = versions.latest(bank)
    names = sorted(set(found.rows(0, ("face_id",))["face_id"].to_pylist()))[:count]
    build_bank.main(build_bank.Config(bank=bank, action="remove", face_ids=tuple(names), workers=1))


class Load:
    """Queries without a pause on threads; every answer is compared with what one of the versions would answer."""

    def __init__(self, client: ShardedBank, allowed: list[BankIndex], threads: int = 2) -> None:
        rng = np.random.default_rng(7)
        self.client, self.wrong, self.errors, self.count, self.halt = client, 0, [], 0, False
        self._queries = unit(rng.normal(size=(4, 128)))[0].astype(np.float32)
        self._expected = [index.search(self._queries, "eyes", 5).ids.tolist() for index in allowed]
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        while not self.halt:
            try:
                found = self.client.search(self._queries, "eyes", 5, timeout_s=60)
                self.wrong += found.ids.tolist() not in self._expected
                self.count += 1
            except Exception as error:  # noqa: BLE001
                self.errors.append(repr(error))

    def stop(self) -> None:
        self.halt = True
        for thread in self._threads:
            thread.join(timeout=90)
            assert not thread.is_alive()


def test_a_new_version_is_taken_up_without_a_failed_query(run, tmp_path):
    uri = grown(run, tmp_path)
    old = BankIndex(tables.read(uri, schema="bank"))
    client = ShardedBank.start(uri)
    remove_some(uri, 3)
    new = versions.latest(uri)
    rows = pa.concat_tables([new.rows(i) for i in range(len(new.shards))])
    load = Load(client, [old, BankIndex(rows)])
    assert client.refresh()
    assert not client.refresh()
    assert client.version == 2
    before = load.count
    while load.count < before + 20:
        time.sleep(0.02)
    load.stop()
    assert (load.wrong, load.errors) == (0, [])
    assert client.search(load._queries, "eyes", 5).ids.tolist() == load._expected[1]
    client.close()


def test_a_shard_killed_after_a_swap_and_a_pruning_comes_back(run, tmp_path):
    uri = grown(run, tmp_path)
    client = ShardedBank.start(uri)
    remove_some(uri, 3)
    assert client.refresh()
    versions.prune(uri, 1)
    queries, _ = unit(np.random.default_rng(5).normal(size=(3, 128)))
    before = client.search(queries, "eyes", 5)
    os.kill(ray.get(client._view.handles[0][0].pid.remote()), signal.SIGKILL)
    assert client.search(queries, "eyes", 5).ids.tolist() == before.ids.tolist()
    client.close()


def test_a_version_of_another_model_is_not_taken_up(run, tmp_path):
    uri = grown(run, tmp_path)
    client = ShardedBank.start(uri)
    base = versions.latest(uri)
    pinned = client.pinned()
    versions.commit(base, replace(base.manifest, extra={**base.manifest.extra, "model_sha256": "f" * 64}))
    with pytest.raises(UserError, match="version 2 must be of the model"):
        client.refresh()
    assert (client.version, pinned.version, client.species) == (1, 1, tuple(base.species))
    client.close()


def test_a_bank_built_anew_is_not_searched_as_the_old_one(run):
    with pytest.raises(UserError, match="was built anew: its version 1 is"):
        BankShard(run.bank, 0).prepare((1, "f" * 64))


def test_with_a_second_replica_a_killed_shard_costs_no_query(run):
    client = ShardedBank.start(run.bank, replicas=2)
    load = Load(client, [BankIndex(tables.read(run.bank, schema="bank"))])
    for shard in client._view.handles:
        os.kill(ray.get(shard[0].pid.remote()), signal.SIGKILL)
        before = load.count
        while load.count < before + 10:
            time.sleep(0.02)
    load.stop()
    assert (load.wrong, load.errors) == (0, [])
    client.close()


def test_a_silent_replica_is_not_waited_for_alone(run):
    client = ShardedBank.start(run.bank, replicas=2)
    queries, _ = unit(np.random.default_rng(8).normal(size=(2, 128)))
    before = client.search(queries, "eyes", 4)
    stopped = ray.get(client._view.handles[0][0].pid.remote())
    os.kill(stopped, signal.SIGSTOP)
    try:
        for _ in range(4):
            assert client.search(queries, "eyes", 4, timeout_s=30).ids.tolist() == before.ids.tolist()
    finally:
        os.kill(stopped, signal.SIGCONT)
    client.close()


def pid_of(actor) -> int:
    """Return an actor's process, once it has one."""
    give_up = time.monotonic() + 60
    while True:
        try:
            return ray.get(actor.pid.remote(), timeout=60)
        except ActorUnavailableError:
            assert time.monotonic() < give_up
            time.sleep(0.1)


def test_killed_at_any_time_an_answer_is_right_or_flagged_or_an_error(run):
    client = ShardedBank.start(run.bank)
    found = versions.latest(run.bank)
    queries = unit(np.random.default_rng(9).normal(size=(3, 128)))[0].astype(np.float32)
    parts = [BankIndex(found.rows(i)) for i in range(len(found.shards))]
    whole = BankIndex(tables.read(run.bank, schema="bank")).search(queries, "nose", 5).ids.tolist()
    allowed = {True: [part.search(queries, "nose", 5).ids.tolist() for part in parts], False: [whole]}
    seen: list[tuple[bool, bool]] = []
    errors: list[BaseException] = []
    halt = threading.Event()

    def ask(allow_partial: bool) -> None:
        while not halt.is_set():
            try:
                answer = client.search(queries, "nose", 5, allow_partial=allow_partial, timeout_s=30)
            except BankUnavailableError as error:
                errors.append(error)
                continue
            seen.append((answer.partial, answer.ids.tolist() in allowed[answer.partial]))
            assert allow_partial or not answer.partial

    threads = [threading.Thread(target=ask, args=(kind,), daemon=True) for kind in (True, False)]
    for thread in threads:
        thread.start()
    rng = np.random.default_rng(10)
    for _ in range(6):
        time.sleep(float(rng.uniform(0, 2)))
        os.kill(pid_of(client._view.handles[int(rng.integers(len(parts)))][0]), signal.SIGKILL)
    before = len(seen)
    give_up = time.monotonic() + 60
    while len(seen) < before + 20 and time.monotonic() < give_up:
        time.sleep(0.05)
    halt.set()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()
    assert len(seen) >= before + 20
    assert all(right for _, right in seen)
    assert all("did not answer" in str(error) for error in errors)
    client.close()


def test_a_dataset_of_features_is_searched_in_a_stage(run, bank):
    rows = tables.read(run.features, schema="features")
    whole = BankIndex(tables.read(run.bank, schema="bank"))
    dataset = ray.data.from_arrow(rows)
    found = dataset.map_batches(
        SearchBank, fn_constructor_args=(bank, 3, ("eyes",)), batch_format="pyarrow", batch_size=8, concurrency=1
    ).take_all()
    assert len(found) == rows.num_rows
    animal = next(row for row in found if row["domain"] == "animal")
    code = np.array(animal["regions_mu"], np.float32).reshape(1, 5, -1)
    query, _ = unit(bank.alignment.align(code, "animal")[:, 0])
    expected = whole.search(query, "eyes", 3, exclude=[animal["face_id"]])
    assert list(animal["eyes_ids"]) == expected.ids[0].tolist()
    assert not animal["partial"]
