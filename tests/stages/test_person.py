"""People in animals' photographs: owners are told from their animals, and the animal beside them is found."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jobs import curate
from rupantara.errors import Rejected
from rupantara.landmarks.detector import Detection
from rupantara.stages.curate import SURE_BESIDE_PEOPLE, CuratePhotos, CurateRules
from rupantara.stages.person import WEIGHTS, describe
from rupantara.storage.uris import FileEntry

SHARED = Path(__file__).resolve().parents[2].parent / "shared/data"
PICTURE = np.zeros((8, 8, 3), np.uint8)


def found(place: int, score: float) -> Detection:
    return Detection(np.array([place, 0, 1, 1], np.float32), np.zeros((5, 2), np.float32), score)


def stage(*odds: float) -> CuratePhotos:
    """A stage whose judge gives these log-odds in turn."""
    made = CuratePhotos("", CurateRules(), None)
    made._judge_from, made.__dict__["_person"] = "weights", lambda picture, keypoints: list(odds)
    return made


def test_without_people_all_faces_stay_however_unsure() -> None:
    faces = [found(0, 0.9), found(1, 0.31)]
    assert stage(-3.0, -0.1)._without_people(PICTURE, faces) == faces


def test_beside_a_person_only_a_sure_face_is_the_animals() -> None:
    faces = [found(0, 0.95), found(1, SURE_BESIDE_PEOPLE - 0.01), found(2, SURE_BESIDE_PEOPLE)]
    assert stage(5.0, -3.0, -3.0)._without_people(PICTURE, faces) == faces[2:]


def test_a_person_alone_is_rejected_by_name() -> None:
    with pytest.raises(Rejected) as refused:
        stage(4.5)._without_people(PICTURE, [found(0, 0.95)])
    assert refused.value.as_row() == {
        "stage": "detect",
        "reason": "person",
        "detail": "the face found is a person's, log-odds 4.5",
    }


def test_without_the_network_nobody_is_looked_for() -> None:
    faces = [found(0, 0.9)]
    assert CuratePhotos("", CurateRules(), None)._without_people(PICTURE, faces) == faces


def test_what_is_judged_is_direction_and_length() -> None:
    vectors = np.random.default_rng(0).normal(size=(5, 128)).astype(np.float32)
    seen = describe(np.concatenate([vectors, 3 * vectors, np.zeros((1, 128))]))
    assert seen.shape == (11, len(WEIGHTS))
    np.testing.assert_allclose(np.linalg.norm(seen[:10, :-1], axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(seen[5:10], seen[:5] * ([1] * 128 + [3]), rtol=1e-6)
    assert not seen[10].any()


def test_the_job_names_the_network_only_where_it_judges(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = curate.Config(photos="photos", faces="faces", weights=str(tmp_path))
    people, dogs = ([FileEntry(path, 1, 1)] for path in ("lfw/Ada_Lovelace_0001.jpg", "animals/dog/a.jpg"))
    with caplog.at_level(logging.WARNING, logger="jobs"):
        assert curate.networks(config, people) == ["yunet", "pfld"]
        assert not caplog.messages
        assert curate.networks(config, dogs) == ["yunet", "pfld"]
    assert caplog.messages == [
        "people in animals' photographs are not looked for: that needs mobilefacenet.npz in --weights"
    ]
    (tmp_path / "mobilefacenet.npz").touch()
    assert curate.networks(config, dogs) == ["yunet", "pfld", "mobilefacenet"]
    assert curate.networks(config, people) == ["yunet", "pfld"]
    assert curate.networks(replace(config, people_among_animals="keep"), dogs) == ["yunet", "pfld"]


@pytest.fixture(scope="module")
def real() -> CuratePhotos:
    names = ("yunet_n_dynamic.onnx", "pfld.onnx", "mobilefacenet.npz")
    if not all((SHARED / "weights" / name).exists() for name in names) or not (SHARED / "photos").is_dir():
        pytest.skip(f"the real networks and photographs are not in {SHARED}")
    return CuratePhotos("", CurateRules(), str(SHARED / "weights"))


def reason(row: dict) -> str:
    return row["reject"]["reason"] if row["reject"] else "accepted"


def test_people_under_an_animals_name_are_rejected_and_animals_are_not(real: CuratePhotos) -> None:
    people = sorted((SHARED / "photos/human/lfw").glob("*.jpg"))[::260][:20]
    reasons = [reason(real.one(path.read_bytes(), path="animals/dog/a.jpg")) for path in people]
    assert reasons.count("person") >= 19, reasons
    # The detector's own rejects apart, all but one are animals to the judge as well.
    animals = [
        path for folder in sorted((SHARED / "photos/animals").iterdir()) for path in sorted(folder.glob("*.jpg"))[:4]
    ]
    reasons = [reason(real.one(path.read_bytes(), path=f"animals/{path.parent.name}/a.jpg")) for path in animals]
    assert reasons.count("person") <= 1 and reasons.count("accepted") >= 20, reasons


def test_the_dog_in_its_owners_arms_is_the_subject(real: CuratePhotos) -> None:
    """A boy holds a dog: the detector is surer of him."""
    data = (SHARED / "photos/animals/dog/ardamavi__dog.1121.jpg").read_bytes()
    kept = CuratePhotos("", CurateRules(people_among_animals="keep"), str(SHARED / "weights"))
    boy, dog = (stage.one(data, path="animals/dog/a.jpg") for stage in (kept, real))
    assert boy["detector_score"] > 0.9 > dog["detector_score"]
    assert (reason(boy), reason(dog)) == ("accepted", "accepted")
    assert (boy["quality"]["num_faces"], dog["quality"]["num_faces"]) == (2, 1)
