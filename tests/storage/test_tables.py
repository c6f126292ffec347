"""Parts written one by one read as one table, in their order, counted once, whatever else lies beside them."""

import itertools

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rupantara import schema
from rupantara.storage import manifest, plan, tables, uris
from rupantara.storage.manifest import DataFile, Manifest
from rupantara.storage.parquet import aside
from rupantara.storage.recipe import Recipe
from rupantara.storage.statistics import METADATA, Statistics, attach, attached, merge

RECIPE = Recipe("curate", 1, {"size": 256})
REASONS = ("empty", "no_face", "truncated")


def _running(uri: str) -> Manifest:
    running = manifest.begin(uri, "faces", RECIPE, version=schema.VERSION, overwrite=False)
    assert running is not None
    return running


def _faces(*reasons: str | None) -> pa.Table:
    rejects = [reason and {"stage": "s", "reason": reason, "detail": ""} for reason in reasons]
    rows = [{"face_id": f"{i}", "image": bytes(1000), "reject": reject} for i, reject in enumerate(rejects)]
    return pa.Table.from_pylist(rows, schema=schema.FACES)


def test_parts_written_in_any_order_read_in_their_own(place: str) -> None:
    running = _running(place)
    parts = [pa.table({"x": [1, 2]}), pa.table({"x": pa.array([], pa.int64())}), pa.table({"x": [3]})]
    for index in (2, 0, 1):
        tables.write_part(place, running.fingerprint, index, parts[index], parts[index].num_rows)
    done = tables.commit_parts(place, running, 3, 1.23)
    assert tables.read(place, schema="faces").equals(pa.concat_tables(parts))
    assert [file.rows for file in done.files] == [2, 0, 1]
    sizes = {entry.path: entry.size for entry in uris.list_files(place)}
    assert all(sizes[file.path] == file.bytes for file in done.files)


def test_rows_in_are_rows_accepted_and_rejected(place: str) -> None:
    running = _running(place)
    tables.write_part(place, running.fingerprint, 0, _faces(None, "empty", None, "no_face"), 4)
    tables.write_part(place, running.fingerprint, 1, _faces("empty", None), 2)
    done = tables.commit_parts(place, running, 2, 0.0)
    assert done.counts == {"in": 6, "accepted": 3, "rejected": {"empty": 2, "no_face": 1}}
    assert manifest.require(place, "faces").counts == done.counts
    assert schema.accepted(tables.read(place, schema="faces")).num_rows == 3


def test_a_table_without_rejects_accepts_every_row() -> None:
    assert tables.counts_of(pa.table({"x": [1, 2]}), 5) == {"in": 5, "accepted": 2, "rejected": {}}


def test_a_table_survives_storage_with_its_types_nulls_and_field_metadata(place: str) -> None:
    table = _faces(None, "empty")
    running = _running(place)
    tables.write_part(place, running.fingerprint, 0, table, 2)
    tables.commit_parts(place, running, 1, 0.0)
    found = tables.read(place, schema="faces")
    assert found.equals(table)
    assert found.schema.field("keypoints").metadata[b"shape"] == b"[5, 2]"
    assert tables.read(place, ["face_id"], schema="faces").to_pydict() == {"face_id": ["0", "1"]}


def test_a_part_that_is_missing_stops_the_commit(place: str) -> None:
    running = _running(place)
    for index in (0, 3):
        tables.write_part(place, running.fingerprint, index, pa.table({"x": [1]}), 1)
    with pytest.raises(RuntimeError, match=r"2 of 4 parts were not written .* the first is 1"):
        tables.commit_parts(place, running, 4, 0.0)
    assert manifest.read(place) is None


def test_what_a_killed_run_left_is_neither_counted_nor_read(place: str) -> None:
    running = _running(place)
    tables.write_part(place, running.fingerprint, 0, pa.table({"x": [1]}), 1)
    leftovers = (".draft-0123456789abcdef", f"part-{running.fingerprint[:12]}-000001.parquet.tmp")
    for name in (*leftovers, "part-000000000000-000001.parquet"):
        uris.write_bytes(uris.join(place, "data", name), b"half a fi")
    assert list(tables.done_parts(place, running.fingerprint)) == [0]
    done = tables.commit_parts(place, running, 1, 0.0)
    assert [file.path for file in done.files] == [tables.part_path(running.fingerprint, 0)]
    assert tables.read(place, schema="faces")["x"].to_pylist() == [1]


def test_readers_read_the_manifest_s_files_only(place: str) -> None:
    running = _running(place)
    for index in range(2):
        tables.write_part(place, running.fingerprint, index, pa.table({"x": [index]}), 1)
    tables.commit_parts(place, running, 1, 0.0)
    assert tables.read(place, schema="faces")["x"].to_pylist() == [0]
    assert [table["x"].to_pylist() for table in tables.read_parts(place)] == [[0]]


def test_a_part_written_twice_leaves_the_same_bytes(place: str) -> None:
    path = uris.join(place, aside(tables.part_path(RECIPE.fingerprint, 0)))
    written = []
    for _ in range(2):
        tables.write_part(place, RECIPE.fingerprint, 0, _faces(None, "empty"), 2)
        written.append(uris.read_bytes(path))
    assert written[0] == written[1]


def test_files_beside_a_table_belong_to_it_by_their_fingerprint(place: str) -> None:
    running = _running(place)
    tables.write_part(place, running.fingerprint, 0, pa.table({"x": [1]}), 1)
    mine = f"{running.fingerprint[:12]}-sheet.png"
    for name in (mine, "000000000000-sheet.png"):
        uris.write_bytes(uris.join(place, "images", name), b"12345")
    done = tables.commit_parts(place, running, 1, 0.0, beside=("images",), note="kept")
    assert [(file.path, file.bytes) for file in done.files[1:]] == [(f"images/{mine}", 5)]
    assert manifest.require(place, "faces").extra == {"note": "kept"}


def test_images_are_stored_as_they_are_and_all_else_as_zstd(place: str) -> None:
    tables.write_part(place, RECIPE.fingerprint, 0, _faces(None, "empty"), 2)
    data = uris.read_bytes(uris.join(place, aside(tables.part_path(RECIPE.fingerprint, 0))))
    group = pq.read_metadata(pa.BufferReader(data)).row_group(0)
    columns = [group.column(index) for index in range(group.num_columns)]
    compression = {column.path_in_schema: column.compression for column in columns}
    assert compression.pop("image") == "UNCOMPRESSED"
    assert set(compression.values()) == {"ZSTD"}
    assert {"face_id", "reject.reason"} <= compression.keys()


REJECTED = st.dictionaries(st.sampled_from(REASONS), st.integers(1, 9))
COUNTS = st.builds(
    lambda accepted, rejected: {"in": accepted + sum(rejected.values()), "accepted": accepted, "rejected": rejected},
    st.integers(0, 9),
    REJECTED,
)


@given(COUNTS, COUNTS, COUNTS)
def test_counts_add_in_any_order_and_grouping(a: dict, b: dict, c: dict) -> None:
    whole = tables.add_counts([a, b, c])
    assert tables.add_counts([c, a, b]) == whole
    assert tables.add_counts([tables.add_counts([a, b]), c]) == whole
    assert tables.add_counts([a, tables.add_counts([b, c])]) == whole
    assert whole["in"] == whole["accepted"] + sum(whole["rejected"].values())
    assert tables.add_counts([a, tables.add_counts([])]) == tables.add_counts([a])


@given(st.lists(st.sampled_from((None, *REASONS)), max_size=12), st.integers(0, 12))
def test_a_table_counts_like_its_pieces(reasons: list[str | None], cut: int) -> None:
    pieces = [reasons[:cut], reasons[cut:]]
    counted = tables.add_counts([tables.counts_of(_faces(*piece), len(piece)) for piece in pieces])
    assert counted == tables.counts_of(_faces(*reasons), len(reasons))


def seen(place: str) -> list[str]:
    """Return what a plain reader of the folder finds."""
    return sorted(entry.path for entry in uris.list_files(uris.join(place, "data")))


def test_a_plain_reader_sees_whole_commits_and_nothing_else(place: str) -> None:
    old = _running(place)
    for index in range(2):
        tables.write_part(place, old.fingerprint, index, pa.table({"x": [index]}), 1)
        assert seen(place) == []
    first = tables.commit_parts(place, old, 2, 0.0)
    assert seen(place) == [f.path.removeprefix("data/") for f in first.data]
    other = Recipe("curate", 2)
    new = manifest.begin(place, "faces", other, version=schema.VERSION, overwrite=True)
    assert new is not None
    tables.write_part(place, new.fingerprint, 0, pa.table({"x": [9]}), 1)
    assert seen(place) == [f.path.removeprefix("data/") for f in first.data], "the replacement is not finished"
    assert tables.read(place, schema="faces")["x"].to_pylist() == [0, 1]
    second = tables.commit_parts(place, new, 1, 0.0)
    assert seen(place) == [second.data[0].path.removeprefix("data/")]
    assert uris.list_files(uris.join(place, "_parts")) == []


def test_a_commit_killed_before_its_files_moved_is_whole_to_readers_and_finished_later(place: str) -> None:
    running = _running(place)
    for index in range(3):
        tables.write_part(place, running.fingerprint, index, pa.table({"x": [index]}), 1)
    done = tables.commit_parts(place, running, 3, 0.0)
    stray = uris.join(place, tables.part_path("0" * 64, 0))
    uris.write_bytes(stray, b"of a commit that was replaced")
    for file in done.data[1:]:
        uris.move(uris.join(place, file.path), uris.join(place, aside(file.path)))
    assert tables.read(place, schema="faces")["x"].to_pylist() == [0, 1, 2]
    assert len(tables.done_parts(place, running.fingerprint)) == 3
    for _ in range(2):
        tables.settle(place, done)
        assert seen(place) == [f.path.removeprefix("data/") for f in done.data]


FLOATS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=12)


def _measured(values: list[float]) -> Statistics:
    return Statistics({"sum": np.array(values).sum(), "count": np.int64(len(values))}, {"each": np.array(values)})


@settings(deadline=None)
@given(FLOATS, st.integers(0, 12), st.integers(0, 12))
def test_statistics_merge_alike_however_the_rows_are_cut(values: list[float], one: int, two: int) -> None:
    low, high = sorted((one, two))
    whole = merge([_measured(values)])
    cut = merge(_measured(part) for part in (values[:low], values[low:high], values[high:]) if part)
    np.testing.assert_allclose(cut.sums["sum"], whole.sums["sum"], rtol=1e-9, atol=1e-6)
    assert cut.sums["count"] == whole.sums["count"] == len(values)
    np.testing.assert_array_equal(cut.lists["each"], whole.lists["each"])


def test_a_commit_keeps_the_merger_of_what_its_parts_left_to_the_bit(place: str) -> None:
    running = _running(place)
    values = [[0.1, 0.2], [0.3], [1e-9, 7.0]]
    for index in (2, 0, 1):
        rows = attach(pa.table({"x": values[index]}), _measured(values[index]))
        tables.write_part(place, running.fingerprint, index, rows, rows.num_rows)
    done = tables.commit_parts(place, running, 3, 0.0)
    found = tables.statistics_of(place, lambda rows: pytest.fail("they are there"))
    assert found.sums["sum"] == (0.1 + 0.2) + 0.3 + (1e-9 + 7.0)
    assert [f.path for f in done.files if f.path.startswith("statistics")] == [
        f"statistics-{running.fingerprint[:12]}.safetensors"
    ]
    assert not found.lists, "what is long is for the reduce step alone"


def test_the_statistics_of_a_table_without_any_are_measured_of_its_rows(place: str) -> None:
    running = _running(place)
    for index, values in enumerate(([1.0, 2.0], [3.0])):
        tables.write_part(place, running.fingerprint, index, pa.table({"x": values}), len(values))
    tables.commit_parts(place, running, 2, 0.0)
    assert tables.statistics_of(place, lambda rows: _measured(rows["x"].to_pylist())).sums["sum"] == 6.0


def test_statistics_travel_in_a_file_s_metadata_unchanged() -> None:
    measured = Statistics(
        {'["species", "león", "ok"]': np.array([[1, 2]]), "one": np.array(7)}, {"sha": np.array([2**64 - 1], np.uint64)}
    )
    found = attached(attach(pa.table({"x": [1]}), measured).schema.metadata)
    assert found is not None
    for name in ("sums", "lists"):
        one, other = getattr(measured, name), getattr(found, name)
        assert one.keys() == other.keys()
        assert all(
            np.array_equal(one[k], other[k]) and one[k].dtype == other[k].dtype and one[k].shape == other[k].shape
            for k in one
        )
    assert attached(None) is None


def test_statistics_stand_in_a_file_once(place: str) -> None:
    measured = Statistics({"sum": np.random.default_rng(0).normal(size=20_000)})
    rows = attach(pa.table({"x": [1]}), measured)
    running = _running(place)
    tables.write_part(place, running.fingerprint, 0, rows, 1)
    done = tables.commit_parts(place, running, 1, 0.0)
    found = attached(tables.read_file(place, done.data[0].path).schema.metadata)
    assert found is not None and found.sums["sum"].tobytes() == measured.sums["sum"].tobytes()
    assert done.data[0].bytes < 1.1 * len(rows.schema.metadata[METADATA])


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=30), st.integers(1, 20), st.integers(1, 6))
def test_parts_of_several_files_hold_each_file_once_in_order(rows: list[int], most: int, least: int) -> None:
    files = tuple(DataFile(f"data/{i}", count, 1) for i, count in enumerate(rows))
    parts = plan.of_rows_in_files("t", Manifest("features", 2, RECIPE, "complete", files=files), most, least)
    assert [path for part in parts for path in (part.file, *part.more)] == [file.path for file in files]
    assert [part.index for part in parts] == list(range(len(parts)))
    wanted = min(most, -(-sum(rows) // least))
    sizes = [[rows[int(path.removeprefix("data/"))] for path in (part.file, *part.more)] for part in parts]
    assert all(len(size) == 1 or sum(size) <= wanted for size in sizes)
    # No two neighbours would have fitted into one.
    assert all(sum(one) + other[0] > wanted for one, other in itertools.pairwise(sizes))
