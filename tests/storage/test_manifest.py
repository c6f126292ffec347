"""An output is claimed, filled and committed: all of it or nothing, by one recipe."""

import json
from dataclasses import replace

import pyarrow as pa
import pytest

from rupantara import schema
from rupantara.errors import MissingError, RefusedError, UserError
from rupantara.storage import manifest, tables, uris
from rupantara.storage.manifest import DataFile, Manifest
from rupantara.storage.recipe import Recipe

A = Recipe("curate", 1, {"size": 256})
B = replace(A, config={"size": 128})


def _begin(uri: str, recipe: Recipe, *, overwrite: bool = False) -> Manifest | None:
    return manifest.begin(uri, "faces", recipe, version=schema.VERSION, overwrite=overwrite)


def _write(uri: str, recipe: Recipe, rows: list[int]) -> None:
    tables.write_part(uri, recipe.fingerprint, 0, pa.table({"x": rows}), len(rows))


def _make(uri: str, recipe: Recipe, rows: list[int], *, overwrite: bool = False) -> Manifest:
    running = _begin(uri, recipe, overwrite=overwrite)
    assert running is not None
    _write(uri, recipe, rows)
    return tables.commit_parts(uri, running, 1, 0.0)


def _rows(uri: str) -> list[int]:
    return tables.read(uri, schema="faces")["x"].to_pylist()


def test_a_manifest_survives_json() -> None:
    counts = {"in": 3, "accepted": 2, "rejected": {"empty": 1}}
    made = Manifest("faces", 1, A, "complete", counts, 1.5, (DataFile("data/x", 3, 99),), {"note": [1, None]})
    assert Manifest.from_json(made.to_json()) == made
    assert json.loads(made.to_json())["fingerprint"] == A.fingerprint


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b"not json", b'{"fingerprint": "x", "recipe": {"a": 1}, "files": []}']
)
def test_what_is_no_manifest_is_refused_in_one_line(data: bytes) -> None:
    with pytest.raises(UserError, match=r"^manifest\.json is not a manifest of this project: .*$"):
        Manifest.from_json(data)


def test_a_complete_output_of_the_same_recipe_is_not_begun_again(place: str) -> None:
    _make(place, A, [1])
    assert _begin(place, A) is None
    assert _begin(place, A, overwrite=True) is None
    assert _rows(place) == [1]


def test_an_unfinished_run_of_the_same_recipe_is_taken_up_with_its_parts(place: str) -> None:
    _begin(place, A)
    _write(place, A, [1, 2])
    running = _begin(place, A)
    assert running is not None and running.state == "running"
    assert list(tables.done_parts(place, running.fingerprint)) == [0]
    tables.commit_parts(place, running, 1, 0.0)
    assert _rows(place) == [1, 2]


def test_an_unfinished_output_is_no_output(place: str) -> None:
    _begin(place, A)
    _write(place, A, [1])
    assert manifest.read(place) is None
    with pytest.raises(MissingError, match="has not finished: run it again"):
        manifest.require(place, "faces")


@pytest.mark.parametrize("finished", [True, False])
def test_another_recipe_is_refused_by_what_differs(place: str, finished: bool) -> None:
    if finished:
        _make(place, A, [1])
    else:
        _begin(place, A)
    with pytest.raises(RefusedError, match=r"config\.size: 256 -> 128.*--overwrite") as refused:
        _begin(place, B)
    assert A.fingerprint[:12] in str(refused.value) and B.fingerprint[:12] in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_output_of_another_kind_is_not_overwritten(place: str) -> None:
    """A table given as the output by mistake, one that the job reads, say; an unfinished one is."""
    _begin(place, A)
    assert manifest.begin(place, "affinity", B, version=1, overwrite=True) is not None
    _make(place, A, [1], overwrite=True)
    with pytest.raises(RefusedError, match="holds 'faces', which 'affinity' never replaces"):
        manifest.begin(place, "affinity", B, version=1, overwrite=True)
    assert _rows(place) == [1]


def test_overwriting_keeps_the_old_output_readable_until_the_commit(place: str) -> None:
    _make(place, A, [1])
    running = _begin(place, B, overwrite=True)
    assert running is not None
    assert _rows(place) == [1]
    _write(place, B, [2])
    assert _rows(place) == [1]
    assert manifest.require(place, "faces").fingerprint == A.fingerprint
    tables.commit_parts(place, running, 1, 0.0)
    assert _rows(place) == [2]


def test_overwriting_deletes_the_old_files_and_nothing_else(place: str) -> None:
    _make(place, A, [1])
    uris.write_bytes(uris.join(place, "notes.txt"), b"mine")
    _make(place, B, [2], overwrite=True)
    left = {entry.path for entry in uris.list_files(place)}
    assert left == {"notes.txt", "manifest.json", tables.part_path(B.fingerprint, 0)}


def test_giving_up_an_overwrite_leaves_the_old_output_complete(place: str) -> None:
    _make(place, A, [1])
    _begin(place, B, overwrite=True)
    assert _begin(place, A) is None
    assert _rows(place) == [1]


def test_a_folder_of_someone_else_is_not_written_into(place: str) -> None:
    uris.write_bytes(uris.join(place, "thesis.txt"), b"years of work")
    for overwrite in (False, True):
        with pytest.raises(UserError, match=r"must be empty .*'thesis\.txt'"):
            _begin(place, A, overwrite=overwrite)
    assert [entry.path for entry in uris.list_files(place)] == ["thesis.txt"]


def test_a_folder_of_someone_else_s_folders_is_not_written_into(place: str) -> None:
    uris.write_bytes(uris.join(place, "thesis/chapter.txt"), b"years of work")
    with pytest.raises(UserError, match="must be empty"):
        _begin(place, A)


def test_an_output_committed_by_another_recipe_meanwhile_is_not_replaced(place: str) -> None:
    running = _begin(place, A)
    assert running is not None
    _write(place, A, [1])
    _write(place, B, [2])
    tables.commit_parts(place, replace(running, recipe=B), 1, 0.0)
    with pytest.raises(RefusedError, match="committed by another run meanwhile"):
        tables.commit_parts(place, running, 1, 0.0)
    assert _rows(place) == [2]


def test_a_commit_that_loses_at_the_last_moment_is_refused(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another run commits between the last look and the write: the manifest is written only where none is."""
    mine, theirs = Manifest("faces", 1, A, "complete"), Manifest("faces", 1, B, "complete")
    write = uris.write_bytes

    def overtaken(uri: str, data: bytes, *, if_absent: bool = False) -> None:
        write(uris.join(place, manifest.NAME), theirs.to_json())
        write(uri, data, if_absent=if_absent)

    monkeypatch.setattr(uris, "write_bytes", overtaken)
    with pytest.raises(RefusedError, match="committed by another run meanwhile"):
        manifest.commit(place, mine)
    assert manifest.read(place) == theirs


def test_two_runs_of_one_recipe_may_both_commit(place: str) -> None:
    first, second = _begin(place, A), _begin(place, A)
    assert first is not None and second is not None
    _write(place, A, [1])
    tables.commit_parts(place, first, 1, 0.0)
    tables.commit_parts(place, second, 1, 0.0)
    assert _rows(place) == [1]


def test_a_commit_ends_the_run(place: str) -> None:
    _make(place, A, [1])
    assert manifest.read(place, running=True) is None
    assert {entry.path for entry in uris.list_files(place)} == {"manifest.json", tables.part_path(A.fingerprint, 0)}


def test_an_output_of_another_kind_or_none_is_named_in_the_refusal(place: str) -> None:
    with pytest.raises(MissingError, match=r"there is no manifest\.json"):
        manifest.require(place, "faces")
    _make(place, A, [1])
    with pytest.raises(UserError, match="must hold bank or features, got faces"):
        manifest.require(place, "bank", "features")
    assert manifest.require(place, "bank", "faces").fingerprint == A.fingerprint
