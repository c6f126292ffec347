"""`curate` keeps one of photographs that are there twice, and says of the others which."""

import json
from dataclasses import replace

import pytest

from jobs import curate
from rupantara.errors import UserError
from rupantara.storage import manifest, tables
from rupantara.synthetic import write_photographs
from tests.in_process import in_this_process


def test_copies_are_rejected_wherever_they_lie(tmp_path, ray_cluster) -> None:
    """Copies under another person's name, in another part, and under another species."""
    folder = tmp_path / "photos"

    def put(path: str, data: bytes) -> None:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)

    write_photographs(put, humans=4, per_species=1)
    names = sorted(path for path in folder.rglob("*.jpg"))
    (cat,) = (path for path in names if path.parent.name == "cat")
    (folder / "animals/zebra").mkdir()
    (folder / "animals/zebra/a.jpg").write_bytes(cat.read_bytes())
    person = sorted((folder / "human/drawn").iterdir())[0]
    (folder / "human/drawn/zz_0001.jpg").write_bytes(person.read_bytes())
    known = json.loads((folder / "keypoints.json").read_text())
    of = {row["file"]: row["points"] for row in known}
    for copy, original in (("animals/zebra/a.jpg", cat), ("human/drawn/zz_0001.jpg", person)):
        known.append({"file": copy, "points": of[str(original.relative_to(folder))]})
    (folder / "keypoints.json").write_text(json.dumps(known))
    config = curate.Config(photos=str(folder), faces=str(tmp_path / "faces"), part_photos=3)
    curate.main(config)
    found = manifest.require(config.faces, "faces")
    rows = {row["uri"]: row for row in tables.read(config.faces, schema="faces").to_pylist()}
    assert found.counts == {"in": len(names) + 2, "accepted": len(names), "rejected": {"duplicate": 2}}
    for copy, original in ((folder / "animals/zebra/a.jpg", cat), (folder / "human/drawn/zz_0001.jpg", person)):
        assert rows[str(original)]["reject"] is None
        assert rows[str(copy)]["reject"] == {
            "stage": "read",
            "reason": "duplicate",
            "detail": f"the same bytes as {original}",
        }
    files = {path.name for path in (tmp_path / "faces/data").iterdir()}
    assert files == {f.path.removeprefix("data/") for f in found.data}, "no reader of data/*.parquet sees a face twice"
    with pytest.raises(UserError, match="a later try can mend, got duplicate"):
        curate.main(
            curate.Config(photos=str(folder), faces=str(tmp_path / "faces"), part_photos=3, retry=("duplicate",))
        )


def photographs(folder):
    def put(path: str, data: bytes) -> None:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)

    write_photographs(put, humans=2, per_species=1)
    return sorted((folder / "human/drawn").iterdir())


def test_after_a_kill_before_the_commit_it_ends_the_same(tmp_path, monkeypatch) -> None:
    """Killed when the new parts are written and those that they stand for are deleted."""
    in_this_process(monkeypatch)
    names = photographs(tmp_path / "photos")
    (tmp_path / "photos/zz.jpg").write_bytes(names[0].read_bytes())
    config = curate.Config(photos=str(tmp_path / "photos"), faces=str(tmp_path / "faces"), part_photos=3)
    points = json.loads((tmp_path / "photos/keypoints.json").read_text())
    points.append({**next(p for p in points if p["file"].endswith(names[0].name)), "file": "zz.jpg"})
    (tmp_path / "photos/keypoints.json").write_text(json.dumps(points))
    whole = replace(config, faces=str(tmp_path / "whole"))
    curate.main(whole)
    assert manifest.require(whole.faces, "faces").counts["rejected"] == {"duplicate": 1}
    with monkeypatch.context() as broken:
        broken.setattr("rupantara.storage.manifest.commit", lambda *_, **__: pytest.fail("killed"))
        with pytest.raises(pytest.fail.Exception):
            curate.main(config)
    assert not list((tmp_path / "faces").glob("data/*")), "a plain reader sees nothing of it"
    curate.main(config)
    assert tables.read(config.faces, schema="faces").equals(tables.read(whole.faces, schema="faces"))


def test_a_retry_finds_duplicates_too(tmp_path, monkeypatch) -> None:
    """A link that led nowhere leads to a copy when it is tried again, and a broken pair is mended one by one."""
    in_this_process(monkeypatch)
    names = photographs(tmp_path / "photos")
    kept, points = names[0].read_bytes(), json.loads((tmp_path / "photos/keypoints.json").read_text())
    link = tmp_path / "photos/human/drawn/yy_0001.jpg"
    points.append({**next(p for p in points if p["file"].endswith(names[0].name)), "file": "human/drawn/yy_0001.jpg"})
    (tmp_path / "photos/keypoints.json").write_text(json.dumps(points))
    link.symlink_to(tmp_path / "late.jpg")
    config = curate.Config(photos=str(tmp_path / "photos"), faces=str(tmp_path / "faces"), part_photos=3)
    curate.main(config)
    assert manifest.require(config.faces, "faces").counts["rejected"] == {"unreadable": 1}
    (tmp_path / "late.jpg").write_bytes(kept)
    curate.main(replace(config, retry=("unreadable",)))
    found = manifest.require(config.faces, "faces")
    assert found.counts["rejected"] == {"duplicate": 1}
    accepted = [row["face_id"] for row in tables.read(config.faces, schema="faces").to_pylist() if not row["reject"]]
    assert len(accepted) == len(set(accepted)) == found.counts["accepted"]
    files = {path.name for path in (tmp_path / "faces/data").iterdir()}
    assert files == {f.path.removeprefix("data/") for f in found.data}
