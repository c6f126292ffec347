"""The job trains the landmark network on marked photographs, and what it writes finds heads; a second run does nothing."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jobs import train_landmarks
from rupantara.errors import UserError
from rupantara.faces.animal_heads import AnimalHeads
from rupantara.faces.animal_network import load_network
from rupantara.imaging import codec
from rupantara.schema import POINTS
from rupantara.storage import manifest
from rupantara.synthetic import draw_face
from rupantara.training.photo_groups import folds, group, thumbnail


def drawn(folder: Path, count: int = 12) -> Path:
    """Drawn animals with five exact points, of which four are among the six; ears are hidden. And two people."""
    rows = []
    for i in range(count):
        species = ("cat", "wolf", "bear")[i % 3]
        face = draw_face(species, i, size=120)
        path = folder / f"photos/animals/{species}/{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(codec.encode_png(face.image))
        places = [*face.keypoints[:3], face.keypoints[3:].mean(0), None, None]
        points = {name: None if p is None else [float(v) for v in p] for name, p in zip(POINTS, places, strict=True)}
        rows.append({"file": f"animals/{species}/{i}.png", "points": points, "yaw": "front"})
    (folder / "photos/human").mkdir()
    for i in range(2):
        (folder / f"photos/human/{i}.png").write_bytes(codec.encode_png(draw_face("human", i, size=120).image))
    (folder / "marks.json").write_text(json.dumps(rows))
    return folder


def test_the_job_writes_a_network_that_runs_and_resumes_to_nothing(
    ray_cluster: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = drawn(tmp_path)
    paths = {
        "photos": str(folder / "photos"),
        "points": (str(folder / "marks.json"),),
        "checkpoint": str(folder / "out"),
    }
    config = replace(train_landmarks.presets()["smoke"], **paths)
    train_landmarks.main(config)
    found = manifest.require(str(folder / "out"), "animal_landmarks")
    assert found.counts["in"] == 2 * 12 and np.isfinite(found.extra["metrics"]["val_loss"])
    network = load_network((folder / "out/animal_landmarks.safetensors").read_bytes())
    assert isinstance(AnimalHeads(network).find(np.zeros((50, 70, 3), np.uint8)), list)
    with caplog.at_level("INFO", logger="jobs"):
        train_landmarks.main(config)
    assert "nothing to do" in caplog.text


def test_marks_of_photographs_that_are_not_there_are_refused_in_one_line(tmp_path: Path) -> None:
    folder = drawn(tmp_path, 4)
    (folder / "marks.json").write_text('[{"file": "no.jpg", "points": {"nose": [1, 2]}}]')
    paths = {
        "photos": str(folder / "photos"),
        "points": (str(folder / "marks.json"),),
        "checkpoint": str(folder / "out"),
    }
    with pytest.raises(UserError, match=r"--points must name photographs of --photos, 1 are not there"):
        train_landmarks.main(replace(train_landmarks.presets()["smoke"], **paths))


def test_near_duplicates_and_mirror_images_are_of_one_group_and_fold() -> None:
    pictures = [
        np.random.default_rng(i).integers(0, 256, (12, 12, 3), np.uint8).repeat(8, 0).repeat(8, 1) for i in range(9)
    ]
    lighter = np.clip(pictures[0].astype(int) + 20, 0, 255).astype(np.uint8)
    shown = [*pictures, lighter, np.ascontiguousarray(pictures[1][:, ::-1])]
    groups = group(np.stack([thumbnail(p) for p in shown]), [str(i) for i in range(11)])
    assert groups[9] == groups[0] and groups[10] == groups[1] and len(set(groups)) == 9
    dealt = folds(groups, 3)
    assert dealt[9] == dealt[0] and dealt[10] == dealt[1]
    assert np.bincount(dealt).max() - np.bincount(dealt).min() <= 1
