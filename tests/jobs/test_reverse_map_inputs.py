"""Photographs, faces and features of the same people give the same affinities; animals, species and groups can be compared as well."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from jobs import curate, extract, reverse_map
from rupantara.errors import UserError
from rupantara.evaluation import affinity_report
from rupantara.synthetic import write_photographs
from tests import affinities
from tests.banks import bank_job
from tests.in_process import in_this_process

COMMON: dict[str, Any] = {"cards": 0, "spaces": ("pooled",)}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("inputs")

    def put(path: str, data: bytes) -> None:
        # UTKFace's names tell sexes.
        name = path.replace("human/drawn/", f"human/30_{len(written) % 2}_0_20170101_")
        written[path] = name
        (root / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        if path.endswith(".json"):
            for old, new in written.items():
                data = data.replace(old.encode(), new.encode())
        (root / "photos" / name).write_bytes(data)

    written: dict[str, str] = {}
    write_photographs(put, humans=6, per_species=2, pictures_per_human=1)
    with pytest.MonkeyPatch.context() as patch:
        in_this_process(patch)
        curate.main(curate.Config(photos=str(root / "photos"), faces=str(root / "faces"), part_photos=8))
        features = {"features": str(root / "features"), "extractors": ("region_features",)}
        extract.main(extract.Config(faces=str(root / "faces"), **features))  # ty: ignore[invalid-argument-type]
        bank_job(root / "bank", features=str(root / "features"), vectors="region_features", alignment="auto")
        yield root


def mapped(root: Path, name: str, *, draw: bool = False, **flags: Any) -> pd.DataFrame:
    """Map in this process and return the rows, by face, region and species; most reports are left out, which take a second each."""
    config = reverse_map.Config(bank=str(root / "bank"), affinity=str(root / name), **COMMON | flags)
    with pytest.MonkeyPatch.context() as patch:
        if not draw:
            patch.setattr(affinity_report, "write", lambda *_: "")
        reverse_map.main(config)
    rows = affinities.read_rows(config.affinity).to_pandas().astype({"region": str, "species": str})
    return rows.sort_values(["face_id", "region", "species"], ignore_index=True)


def test_photographs_faces_and_features_give_the_same(root: Path) -> None:
    made = {
        "of_features": mapped(root, "of_features", features=str(root / "features")),
        "of_faces": mapped(root, "of_faces", faces=str(root / "faces"), by=("sex",)),
        "of_photos": mapped(root, "of_photos", photos=str(root / "photos"), by=("sex",)),
    }
    first = made.pop("of_features")
    assert first["face_id"].nunique() == 6
    for rows in made.values():
        pd.testing.assert_frame_equal(rows.drop(columns=LISTS), first.drop(columns=LISTS), atol=2e-3, rtol=0)
    one, other = (affinity_report.results(str(root / name)).spaces["pooled"].sums for name in made)
    assert sorted(one.groups) == ["all", "sex=0", "sex=1"]
    assert {name: sums.count for name, sums in one.groups.items()} == {n: s.count for n, s in other.groups.items()}


LISTS = ["best_ids", "best_scores", "probability", "person_probability"]
"""Features of faces are stored in half precision on the way, which may turn the order of near ones."""


def test_animals_are_mapped_to_people_in_groups_and_to_species(root: Path) -> None:
    flags: dict[str, Any] = {"faces": str(root / "faces"), "by": ("sex",), "to": "people", "of": "animal"}
    rows = mapped(root, "animals_to_people", draw=True, **flags)
    assert set(rows["species"]) == {"sex=0", "sex=1"}
    page = (root / "animals_to_people/report.html").read_text()
    assert "animals are nearest to sex=" in page and "people compared with" in page
    people = mapped(root, "of_features", features=str(root / "features"))["face_id"]
    assert not set(rows["face_id"]) & set(people), "animals are mapped, and no person"
    own = mapped(root, "species_to_species", features=str(root / "features"), of="animal", faces=str(root / "faces"))
    assert "people" in set(own["species"]) and own["face_id"].nunique() == rows["face_id"].nunique()
    assert not any(face in ids for face, ids in zip(own["face_id"], own["best_ids"], strict=True))
    two = mapped(
        root, "two_groups", features=str(root / "features"), faces=str(root / "faces"), by=("sex",), to="people"
    )
    assert set(two["species"]) == {"sex=0", "sex=1"} and two["face_id"].nunique() == 6


def test_flags_that_do_not_go_together_are_refused(root: Path) -> None:
    for flags, said in (
        ({}, "needs --features, --faces or --photos"),
        ({"photos": "p", "faces": "f"}, "takes the place"),
        ({"photos": "p", "limit": 3}, "--limit needs"),
        ({"features": "f", "by": ("sex",)}, "--by needs"),
    ):
        with pytest.raises(UserError, match=said):
            mapped(root, "none", **flags)
