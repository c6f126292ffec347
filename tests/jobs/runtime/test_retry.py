"""`curate --retry`: only the rejects of a reason run again, and the table is then that of a fresh run."""

import os
from dataclasses import replace

import pyarrow as pa
import pytest

from jobs import curate
from jobs.runtime import retry
from rupantara.errors import RefusedError, UserError
from rupantara.storage import manifest, tables
from rupantara.synthetic import write_photographs
from tests.in_process import in_this_process


@pytest.fixture
def config(tmp_path, ray_cluster) -> curate.Config:
    """Photographs of which one is a link that leads nowhere and one is cut short."""
    folder = tmp_path / "photos"

    def put(path: str, data: bytes) -> None:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)

    write_photographs(put, humans=6, per_species=0)
    names = sorted((folder / "human/drawn").iterdir())
    os.rename(names[2], tmp_path / "kept.jpg")
    names[2].symlink_to(tmp_path / "gone.jpg")
    names[7].write_bytes(names[7].read_bytes()[:900])
    return curate.Config(photos=str(folder), faces=str(tmp_path / "faces"), part_photos=4)


def mend(config: curate.Config, tmp_path) -> None:
    os.rename(tmp_path / "kept.jpg", tmp_path / "gone.jpg")


def test_a_retried_table_equals_a_fresh_one(config, tmp_path) -> None:
    curate.main(config)
    assert manifest.read(config.faces).counts["rejected"] == {"truncated": 1, "unreadable": 1}
    old = {f.path for f in manifest.read(config.faces).data}
    mend(config, tmp_path)
    curate.main(replace(config, retry=("unreadable",)))
    done = manifest.read(config.faces)
    assert done.counts["rejected"] == {"truncated": 1}
    assert done.extra["retried"] == [{"reasons": ["unreadable"], "tried": 1, "before": 1, "after": 0}]
    assert len(old & {f.path for f in done.data}) == len(old) - 1, "only the part with the reject may be new"
    fresh = replace(config, faces=str(tmp_path / "fresh"))
    curate.main(fresh)
    assert tables.read(config.faces, schema="faces").equals(tables.read(fresh.faces, schema="faces"))
    assert done.fingerprint == manifest.read(fresh.faces).fingerprint, "the same command again finds nothing to do"
    curate.main(config)
    page = (tmp_path / "faces/report.html").read_text()
    assert "truncated" in page
    assert "unreadable" not in page


def test_a_retry_that_would_mix_two_recipes_is_refused(config, tmp_path, monkeypatch) -> None:
    in_this_process(monkeypatch)
    curate.main(config)
    with pytest.raises(RefusedError, match="max_yaw"):
        curate.main(replace(config, retry=("unreadable",), max_yaw=9.0))
    with pytest.raises(UserError, match="no_such_reason"):
        curate.main(replace(config, retry=("no_such_reason",)))
    (tmp_path / "photos/human/drawn/another_0.jpg").write_bytes(b"")
    with pytest.raises(RefusedError, match=r"another_0\.jpg' came"):
        curate.main(replace(config, retry=("unreadable",)))


def test_a_retry_refuses_photographs_that_changed_beside_those_tried(config, tmp_path, monkeypatch) -> None:
    in_this_process(monkeypatch)
    curate.main(config)
    mend(config, tmp_path)
    name = sorted((tmp_path / "photos/human/drawn").iterdir())[0]
    name.write_bytes(name.read_bytes() + b"more")
    with pytest.raises(RefusedError, match="changed: use --overwrite"):
        curate.main(replace(config, retry=("unreadable",)))


def test_a_photograph_with_several_rows_is_retried_once() -> None:
    """All of a photograph's rows are made anew together, where the first one stood."""

    def row(face_id: str, uri: str) -> dict[str, str]:
        return {"face_id": face_id, "uri": uri}

    columns = pa.schema([("face_id", pa.string()), ("uri", pa.string())])
    old = pa.Table.from_pylist([row("x-0", "x"), row("a-0", "a"), row("a-1", "a"), row("y-0", "y")], schema=columns)
    made = [row("a-0", "a"), row("a-1", "a"), row("a-2", "a")]
    assert retry.replaced(old, made)["face_id"].to_pylist() == ["x-0", "a-0", "a-1", "a-2", "y-0"]
