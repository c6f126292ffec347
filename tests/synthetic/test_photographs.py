"""The written folder agrees with the faces drawn one by one."""

import json

import cv2
import numpy as np

from rupantara.synthetic import SPECIES, draw_face, write_photographs


def _written(**counts: int) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    write_photographs(files.__setitem__, size=96, **counts)
    return files


def test_folder_holds_every_picture_and_its_points() -> None:
    files = _written(humans=2, per_species=1, pictures_per_human=2)
    listing = {entry["file"]: np.array(entry["points"]) for entry in json.loads(files["keypoints.json"])}
    assert set(listing) == set(files) - {"keypoints.json"}
    assert len(listing) == 2 * 2 + len(SPECIES)
    np.testing.assert_allclose(
        listing["human/drawn/drawn_human_00001_0002.jpg"], draw_face("human", 1, 1, 96).landmarks, atol=1e-3
    )
    np.testing.assert_allclose(
        listing["animals/fox/drawn_fox_00000.jpg"], draw_face("fox", 0, 0, 96).keypoints, atol=1e-3
    )


def test_photographs_are_the_drawn_faces_but_for_jpeg() -> None:
    files = _written(humans=1, per_species=0, pictures_per_human=1)
    stored = cv2.imdecode(np.frombuffer(files["human/drawn/drawn_human_00000_0001.jpg"], np.uint8), cv2.IMREAD_COLOR)
    drawn = draw_face("human", 0, 0, 96).image
    assert np.abs(stored[..., ::-1].astype(float) - drawn).mean() < 4


def test_two_runs_write_the_same_bytes() -> None:
    assert _written(humans=1, per_species=1) == _written(humans=1, per_species=1)
