"""A bank that grows, shrinks and is compacted answers at every version like one index over the faces that it should hold."""

import itertools
import shutil
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rupantara import schema
from rupantara.bank import donors, versions
from rupantara.bank.alignment import Alignment
from rupantara.bank.check import check
from rupantara.bank.index import BankIndex
from rupantara.bank.rows import bank_rows
from rupantara.errors import MissingError, RefusedError, UserError
from rupantara.metrics.cosine import unit
from rupantara.storage import manifest, tables, uris
from tests.banks import DIM, bank_job, feature_rows, indexes, search, write_features
from tests.in_process import in_this_process

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 12), st.integers(0, 99)),
        st.tuples(st.just("remove"), st.integers(1, 6), st.integers(0, 99)),
        st.tuples(st.just("compact"), st.just(0), st.just(0)),
    ),
    max_size=4,
)


def whole(rows: pa.Table) -> BankIndex:
    """Return one index over all rows of a features table."""
    return BankIndex(bank_rows(rows, schema.bank(DIM, "m" * 64), Alignment.identity(DIM)))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, shards=st.integers(1, 4), copies=st.booleans(), species=st.sampled_from(("", "dog")))
def test_after_any_changes_it_equals_one_index(monkeypatch, steps, shards, copies, species):
    in_this_process(monkeypatch)
    root = Path(tempfile.mkdtemp())
    numbers = itertools.count()

    def fresh(count: int) -> list[str]:
        return [f"{next(numbers):032x}-0" for _ in range(count)]

    held = feature_rows(fresh(9), 0, copies=copies)
    found = bank_job(root / "bank", features=write_features(root / "f0", held), num_shards=shards)
    queries, _ = unit(np.random.default_rng(1).normal(size=(3, DIM)).astype(np.float32))
    for i, (action, count, seed) in enumerate(steps, 1):
        if action == "add":
            more = feature_rows(fresh(count), seed, copies=copies)
            held = pa.concat_tables([held, more])
            found = bank_job(root / "bank", "add", features=write_features(root / f"f{i}", more))
        elif action == "remove":
            names = held["face_id"].to_pylist()
            gone = {names[j] for j in np.random.default_rng(seed).permutation(len(names))[: min(count, len(names) - 1)]}
            if not gone:
                continue
            held = held.filter(pa.array([name not in gone for name in names]))
            found = bank_job(root / "bank", "remove", face_ids=tuple(gone))
        else:
            found = bank_job(root / "bank", "compact", keep=1)
        expected, answer = whole(held).search(queries, "nose", 7, species), search(found, queries, "nose", 7, species)
        assert answer.ids.tolist() == expected.ids.tolist()
        np.testing.assert_array_equal(answer.scores, expected.scores)
        assert found.species == dict(Counter(held["species"].to_pylist()))
        assert check(found) == []
    shutil.rmtree(root)


@pytest.fixture
def bank(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> versions.BankVersion:
    in_this_process(monkeypatch)
    rows = feature_rows([f"{i:032x}-0" for i in range(40)], 3)
    return bank_job(tmp_path / "bank", features=write_features(tmp_path / "features", rows), num_shards=3)


def more(tmp_path: Path, name: str, seed: int = 5) -> str:
    return write_features(tmp_path / name, feature_rows([f"{name}{i:030x}-0" for i in range(4)], seed))


def test_an_old_version_stays_as_it_was_until_it_is_pruned(bank, tmp_path):
    queries, _ = unit(np.random.default_rng(0).normal(size=(2, DIM)))
    before = search(bank, queries, "eyes", 5)
    second = bank_job(bank.uri, "add", features=more(tmp_path, "a"))
    assert (second.number, second.species == bank.species) == (2, False)
    untouched = [i for i in range(3) if second.shards[i] == bank.shards[i]]
    changed = [i for i in range(3) if len(second.shards[i].segments) == 2]
    assert sorted(untouched + changed) == [0, 1, 2]
    assert changed
    again = search(versions.read(bank.uri, 1), queries, "eyes", 5)
    assert again.ids.tolist() == before.ids.tolist()
    versions.prune(bank.uri, 1)
    with pytest.raises(MissingError, match=r"no version 1: .* there are 2"):
        versions.read(bank.uri, 1)
    assert check(versions.latest(bank.uri)) == []


def test_pruning_keeps_what_newer_versions_stand_on(bank, tmp_path):
    bank_job(bank.uri, "add", features=more(tmp_path, "a"))
    third = bank_job(bank.uri, "compact")
    stale = versions.prune(bank.uri, 1)
    assert stale
    assert not set(stale) & versions.files_of(third)
    assert check(third) == []
    assert versions.numbers(bank.uri) == [3]


def test_a_removed_face_is_in_no_file_of_the_newest_version(bank):
    name, other = sorted(set(bank.rows(0)["face_id"].to_pylist()))[:2]
    looks = pa.Table.from_pylist([{"face_id": i, "species": "cat"} for i in (name, other)], schema=schema.DONORS)
    pq.write_table(looks, f"{bank.uri}/{donors.FILE}", compression="none")
    found = bank_job(bank.uri, "remove", face_ids=(name,), keep=1)
    assert pq.read_table(f"{bank.uri}/{donors.FILE}")["face_id"].to_pylist() == [other]
    files = [f for f in uris.list_files(bank.uri) if f.path.endswith(".parquet")]
    assert not any(name.encode() in uris.read_bytes(uris.join(bank.uri, f.path)) for f in files)
    assert sum(found.species.values()) == 39


def test_a_face_that_was_removed_by_id_is_never_added_again(bank, tmp_path):
    name = bank.rows(0)["face_id"][0].as_py()
    found = bank_job(bank.uri, "remove", face_ids=(name,))
    found = bank_job(bank.uri, "add", features=more(tmp_path, "a"))
    again = bank_job(bank.uri, "add", features=str(tmp_path / "features"))
    assert (found.removed, again.number) == ((name,), found.number)
    compact = bank_job(bank.uri, "compact")
    assert compact.removed == (name,)
    # A species that was removed may come back; the face may not.
    kind = next(iter(bank.species))
    bank_job(bank.uri, "remove", species=(kind,))
    back = bank_job(bank.uri, "add", features=str(tmp_path / "features"))
    held = {i for shard in range(3) for i in back.rows(shard, ("face_id",))["face_id"].to_pylist()}
    wanted = set(tables.read(str(tmp_path / "features"), ("face_id",), schema="features")["face_id"].to_pylist())
    assert wanted - held == {name}


def test_a_face_that_is_not_there_yet_can_be_barred_and_a_build_anew_keeps_to_it(bank, tmp_path):
    features = write_features(tmp_path / "b", feature_rows(["c" * 32 + "-0", "d" * 32 + "-0"], 5))
    barred = bank_job(bank.uri, "remove", face_ids=("c" * 32 + "-0",), remember_unknown=True)
    assert (barred.number, barred.removed, barred.species) == (2, ("c" * 32 + "-0",), bank.species)
    assert bank_job(bank.uri, "remove", face_ids=("c" * 32 + "-0",)).number == 2
    added = bank_job(bank.uri, "add", features=features)
    assert sum(added.species.values()) == 41
    name = bank.rows(0)["face_id"][0].as_py()
    bank_job(bank.uri, "remove", face_ids=(name,))
    anew = bank_job(bank.uri, features=str(tmp_path / "features"), num_shards=2, overwrite=True)
    held = {i for shard in range(2) for i in anew.rows(shard, ("face_id",))["face_id"].to_pylist()}
    assert len(held) == 39
    assert name not in held
    assert set(anew.removed) == {name, "c" * 32 + "-0"}


def test_a_whole_build_beside_an_addition_takes_the_next_number(bank, tmp_path):
    built = replace(bank.manifest, recipe=replace(bank.manifest.recipe, config={"built": "anew"}))
    built = replace(built, extra={**built.extra, "version": 2})
    added = versions.commit(bank, replace(bank.manifest, recipe=replace(bank.manifest.recipe, config={"writer": 1})))
    # The build's commit is manifest.json; the addition's is its version's file, which was there first.
    uris.write_bytes(uris.join(bank.uri, manifest.NAME), built.to_json())
    assert versions.mend(bank.uri).content == built.fingerprint
    assert (versions.latest(bank.uri).number, versions.numbers(bank.uri)) == (3, [1, 2, 3])
    assert versions.read(bank.uri, 2).content == added.content


def test_of_two_writers_one_wins_and_the_other_is_told(bank, tmp_path):
    first = replace(bank.manifest, recipe=replace(bank.manifest.recipe, config={"writer": 1}))
    second = replace(bank.manifest, recipe=replace(bank.manifest.recipe, config={"writer": 2}))
    versions.commit(bank, first)
    with pytest.raises(RefusedError, match="changed by another writer meanwhile: version 2"):
        versions.commit(bank, second)
    assert versions.latest(bank.uri).content == first.fingerprint


def test_a_writer_that_dies_after_its_version_has_committed(bank, tmp_path, monkeypatch):
    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    features = more(tmp_path, "a")
    with monkeypatch.context() as patch:
        patch.setattr(versions, "_replace", dies)
        with pytest.raises(KeyboardInterrupt):
            bank_job(bank.uri, "add", features=features)
    # manifest.json says 1 still, but the second version's file is there, which decides.
    assert (manifest.require(bank.uri, "bank").extra["version"], versions.latest(bank.uri).number) == (1, 2)
    third = bank_job(bank.uri, "add", features=more(tmp_path, "b"))
    assert third.number == 3
    assert sum(third.species.values()) == 48
    assert check(third) == []


def test_pruning_leaves_files_that_a_writer_is_at_work_on(bank, tmp_path):
    bank_job(bank.uri, "add", features=more(tmp_path, "a"))
    being_written = uris.join(bank.uri, "_parts/part-ffffffffffff-000000.parquet")
    uris.write_bytes(being_written, b"half")
    versions.prune(bank.uri, 1)
    assert uris.exists(being_written)


def test_a_build_that_died_before_its_version_was_kept_is_mended(bank, tmp_path):
    uris.delete(uris.join(bank.uri, versions.version_path(1)))
    assert versions.latest(bank.uri) == bank
    second = bank_job(bank.uri, "add", features=more(tmp_path, "a"))
    assert versions.numbers(bank.uri) == [1, 2]
    assert versions.read(bank.uri, 1).shards == bank.shards
    assert second.number == 2


def test_adding_the_same_faces_again_changes_nothing(bank, tmp_path):
    features = more(tmp_path, "a")
    second = bank_job(bank.uri, "add", features=features)
    assert bank_job(bank.uri, "add", features=features) == second


def test_building_anew_is_a_version_too_and_the_old_one_can_still_be_read(bank, tmp_path):
    features = write_features(tmp_path / "other", feature_rows([f"f{i:031x}-0" for i in range(8)], 9))
    with pytest.raises(RefusedError, match="--overwrite"):
        bank_job(bank.uri, features=features)
    found = bank_job(bank.uri, features=features, num_shards=2, overwrite=True)
    assert (found.number, len(found.shards), sum(found.species.values())) == (2, 2, 8)
    assert versions.read(bank.uri, 1).rows(0).equals(bank.rows(0))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"action": "add"}, "--action add needs --features"),
        ({"action": "remove"}, "needs --face-ids or --species"),
        ({"action": "remove", "species": ("cat", "dog", "fox")}, "must keep at least one face"),
        ({"action": "remove", "species": ("emu",)}, "--species must be of the bank's cat, dog, fox, got emu"),
        ({"action": "compact", "face_ids": ("x",)}, "are of --action remove"),
        ({"action": "compact", "keep": -1}, "--keep must be at least 1, got -1"),
    ],
)
def test_flags_that_make_no_sense_are_named(bank, flags, message):
    with pytest.raises(UserError, match=message):
        bank_job(bank.uri, **flags)


def test_other_models_are_not_mixed(bank, tmp_path):
    features = more(tmp_path, "a")
    path = uris.join(features, manifest.NAME)
    uris.write_bytes(path, uris.read_bytes(path).replace(b"m" * 64, b"n" * 64))
    with pytest.raises(UserError, match="of one model, got nnnnnnnnnnnn and mmmmmmmmmmmm"):
        bank_job(bank.uri, "add", features=features)


def test_damage_is_found_and_named(bank):
    segment = bank.shards[1].segments[0]
    kept = uris.read_bytes(uris.join(bank.uri, segment))
    uris.delete(uris.join(bank.uri, segment))
    assert check(bank) == [f"{segment} is missing"]
    uris.write_bytes(uris.join(bank.uri, segment), kept[: len(kept) // 2])
    assert any(line.startswith("shard 1: ") for line in check(bank))
    uris.write_bytes(uris.join(bank.uri, segment), uris.read_bytes(uris.join(bank.uri, bank.shards[0].segments[0])))
    wrong = check(bank)
    assert any("belongs to shard 0" in line for line in wrong)
    assert any("in several shards" in line for line in wrong)
    with pytest.raises(UserError, match="is damaged: "):
        bank_job(bank.uri, "verify")


def test_an_approximate_bank_keeps_its_recall_through_changes(monkeypatch, tmp_path):
    in_this_process(monkeypatch)
    rows = feature_rows([f"{i:032x}-0" for i in range(3000)], 3, dim=32)
    humans = feature_rows([f"h{i:031x}-0" for i in range(200)], 4, dim=32, domain="human")
    flags = {"index": "IVF16,PQ16x4fs,RFlat", "num_shards": 2, "target_recall": 0.95}
    features = write_features(tmp_path / "f", pa.concat_tables([rows, humans]))
    found = bank_job(tmp_path / "bank", features=features, **flags)
    assert found.manifest.extra["index"]["recall_at_10"] >= 0.95
    assert found.manifest.extra["index"]["kind"] == "IVF16,PQ16x4fs,RFlat"
    added = feature_rows([f"a{i:031x}-0" for i in range(300)], 5, dim=32)
    queries, _ = unit(np.random.default_rng(8).normal(size=(60, 32)).astype(np.float32))

    def holds(version: versions.BankVersion) -> None:
        for k in (10, 1):
            exact, quick = (search(version, queries, "ears", k, exact=flag) for flag in (True, False))
            recall = np.mean([len(set(a) & set(b)) / k for a, b in zip(exact.ids, quick.ids, strict=True)])
            assert recall >= (0.93 if k == 10 else 0.88)
        assert check(version) == []

    holds(bank_job(found.uri, "add", features=write_features(tmp_path / "g", added)))
    third = bank_job(found.uri, "remove", species=("cat",))
    holds(third)
    assert "cat" not in third.species
    fourth = bank_job(found.uri, "compact", keep=1)
    holds(fourth)
    assert third.number == 3
    assert {type(store).__name__ for index in indexes(fourth) for store in index._stores.values()} == {
        "ApproximateStore"
    }


def test_indexes_of_other_regions_are_found_out(monkeypatch, tmp_path):
    in_this_process(monkeypatch)
    features = write_features(tmp_path / "f", feature_rows([f"{i:032x}-0" for i in range(1500)], 3, dim=32))
    flags = {"index": "IVF8,PQ16x4fs,RFlat", "num_shards": 1, "target_recall": 0.5}
    found = bank_job(tmp_path / "bank", features=features, **flags)
    assert check(found) == []
    eyes, nose = (uris.join(found.uri, found.shards[0].index[region]) for region in ("eyes", "nose"))
    kept = uris.read_bytes(eyes)
    uris.write_bytes(eyes, uris.read_bytes(nose))
    uris.write_bytes(nose, kept)
    assert [line.partition(" holds")[0] for line in check(found)] == [
        f"shard 0: the index of {r}" for r in ("eyes", "nose")
    ]


def test_a_face_that_is_there_twice_is_named(monkeypatch, tmp_path):
    in_this_process(monkeypatch)
    rows = feature_rows([f"{i:032x}-0" for i in range(30)], 3)
    twice = write_features(tmp_path / "f", pa.concat_tables([rows, rows.slice(7, 1)]))
    with pytest.raises(UserError, match=rf"must hold each face once, got {rows['face_id'][7].as_py()} twice"):
        bank_job(tmp_path / "bank", features=twice, num_shards=1)


def test_a_recall_that_is_not_reached_commits_nothing(monkeypatch, tmp_path):
    in_this_process(monkeypatch)
    monkeypatch.setattr("rupantara.bank.factory.settings_to_try", lambda _: [(1, 1.0)])
    features = write_features(tmp_path / "f", feature_rows([f"{i:032x}-0" for i in range(2000)], 3, dim=32))
    with pytest.raises(UserError, match=r"recall of the ten nearest must reach 0\.99, got 0"):
        bank_job(tmp_path / "bank", features=features, index="IVF64,PQ16x4fs,RFlat", num_shards=1)
    assert manifest.read(str(tmp_path / "bank")) is None


@pytest.mark.parametrize(
    ("choose", "scale", "left_out"), [("typical", -1, True), ("vivid", 0.01, True), ("typical", 0.01, False)]
)
def test_a_small_bank_may_hold_the_characteristic_faces_of_each_species(choose, scale, left_out, monkeypatch, tmp_path):
    in_this_process(monkeypatch)
    rows = feature_rows([f"{i:032x}-0" for i in range(30)], 3)
    codes = schema.dense(rows["regions_mu"], 5, DIM).copy()
    species = np.array(rows["species"].to_pylist())
    cats = np.flatnonzero(species == "cat")
    codes[cats] += 4.0
    # Two that point where the others do on average: the other way round, or so weakly that they show next to nothing.
    codes[cats[:2]] = scale * codes[cats].mean(0)
    odd = {rows["face_id"][int(i)].as_py() for i in cats[:2]}
    at = rows.schema.get_field_index("regions_mu")
    rows = rows.set_column(at, rows.schema.field(at), schema.vector_array(codes))
    settings = {"num_shards": 1, "most": len(cats) - 2, "choose": choose, "alignment": "none"}
    found = bank_job(tmp_path / "bank", features=write_features(tmp_path / "f", rows), **settings)
    held = set(found.rows(0)["face_id"].to_pylist())
    assert found.species["cat"] == len(cats) - 2
    assert held & odd == (set() if left_out else odd)


def test_a_plain_reader_of_the_rows_sees_the_newest_version_alone(bank) -> None:
    """Of a folder that also held the older versions' files it would read removed faces, and most faces twice."""
    gone = bank.rows(0)["face_id"][0].as_py()
    newer = bank_job(bank.uri, "remove", face_ids=(gone,))
    rows = pa.concat_tables([newer.rows(shard) for shard in range(len(newer.shards))])
    plain = pads.dataset(f"{bank.uri}/data").to_table()
    assert sorted(plain["feature_id"].to_pylist()) == sorted(rows["feature_id"].to_pylist())
    assert gone not in plain["face_id"].to_pylist()
    assert gone in versions.read(bank.uri, 1).rows(0)["face_id"].to_pylist(), (
        "who searches the old version still finds its files"
    )
    assert not check(versions.read(bank.uri, 1))
    versions.prune(bank.uri, 1)
    assert uris.list_files(uris.join(bank.uri, "_parts")) == []
