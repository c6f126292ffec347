"""`curate` keeps one of photographs that are there twice, and says of the others which."""

import pytest

from jobs import curate
from rupantara.errors import UserError
from rupantara.storage import manifest, tables
from rupantara.synthetic import write_photographs


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
    config = curate.Config(photos=str(folder), faces=str(tmp_path / "faces"), part_photos=3)
    # Nobody gave keypoints to the copies' names: they are there in the report as duplicates all the same.
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
    before = tables.read(config.faces, schema="faces")
    curate.drop_duplicates(config.faces, found.fingerprint, len(found.data))
    assert tables.read(config.faces, schema="faces").equals(before)
    with pytest.raises(UserError, match="a later try can mend, got duplicate"):
        curate.main(
            curate.Config(photos=str(folder), faces=str(tmp_path / "faces"), part_photos=3, retry=("duplicate",))
        )
