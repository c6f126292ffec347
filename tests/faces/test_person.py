"""People in animals' photographs: owners are told from their animals, and the animal beside them is found."""

import logging
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from jobs import curate
from rupantara.errors import MissingError, Rejected
from rupantara.faces.detector import Detection
from rupantara.faces.person import WEIGHTS, describe
from rupantara.imaging import codec
from rupantara.stages.curate import SURE, SURE_BESIDE_PEOPLE, CuratePhotos, CurateRules

SHARED = Path(__file__).resolve().parents[2].parent / "shared/data"
PICTURE = np.zeros((8, 8, 3), np.uint8)


def found(place: int, score: float) -> Detection:
    return Detection(np.array([place, 0, 1, 1], np.float32), np.full((5, 2), place, np.float32), score)


def stage(*odds: float, thorough: tuple[Detection, ...] = ()) -> CuratePhotos:
    """A stage whose judge gives these log-odds to faces 0, 1, …, and whose detector finds `thorough` when it looks everywhere."""
    made = CuratePhotos("", CurateRules(), None)
    made._judge_from = "weights"
    made.__dict__["_person"] = lambda picture, faces: np.array([odds[int(points[0, 0])] for points in faces])
    made._yunet = SimpleNamespace(detect=lambda picture, domain, thorough: list(thorough_faces))
    thorough_faces = thorough
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


def test_where_the_owner_ended_the_search_it_goes_on() -> None:
    owner, dog = found(0, 0.95), found(1, SURE)
    unsure = found(1, SURE_BESIDE_PEOPLE - 0.01)
    assert stage(5.0, -8.0, thorough=(owner, dog))._without_people(PICTURE, [owner, unsure]) == [dog]
    with pytest.raises(Rejected, match="person"):
        stage(5.0, -8.0, thorough=(owner, found(1, SURE - 0.01)))._without_people(PICTURE, [owner, unsure])


def test_points_that_no_face_can_have_are_no_persons(real: CuratePhotos) -> None:
    """They are rejected later, with their own reason; the photograph's other faces are judged."""
    data = sorted((SHARED / "photos/human/lfw").glob("*.jpg"))[0].read_bytes()
    picture = codec.decode(data)
    points = real._yunet.detect(picture, "human")[0].keypoints
    odds = real._person(picture, [points, np.zeros((5, 2), np.float32), np.full((5, 2), np.nan, np.float32)])
    assert odds[0] > 0 and list(odds[1:]) == [-np.inf, -np.inf]
    assert len(real._person(picture, [])) == 0


def test_what_is_judged_is_direction_and_length() -> None:
    vectors = np.random.default_rng(0).normal(size=(5, 128)).astype(np.float32)
    seen = describe(np.concatenate([vectors, 3 * vectors, np.zeros((1, 128))]))
    assert seen.shape == (11, len(WEIGHTS))
    np.testing.assert_allclose(np.linalg.norm(seen[:10, :-1], axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(seen[5:10], seen[:5] * ([1] * 128 + [3]), rtol=1e-6)
    assert not seen[10].any()


def test_the_job_names_the_network_only_where_it_judges(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = curate.Config(photos="photos", faces="faces", weights=str(tmp_path))
    with caplog.at_level(logging.WARNING, logger="jobs"):
        assert curate.networks(config, animals=False) == ["yunet", "pfld"]
        assert not caplog.messages
        assert curate.networks(config, animals=True) == ["yunet", "pfld"]
    assert caplog.messages == [
        "people in animals' photographs are not looked for: that needs mobilefacenet.npz in --weights"
    ]
    (tmp_path / "mobilefacenet.npz").touch()
    assert curate.networks(config, animals=True) == ["yunet", "pfld", "mobilefacenet"]
    assert curate.networks(config, animals=False) == ["yunet", "pfld"]
    assert curate.networks(replace(config, people_among_animals="keep"), animals=True) == ["yunet", "pfld"]


def test_a_worker_without_the_network_that_the_recipe_names_fails(tmp_path: Path) -> None:
    for name in ("yunet_n_dynamic.onnx", "pfld.onnx"):
        if not (SHARED / "weights" / name).exists():
            pytest.skip(f"the real networks are not in {SHARED}")
        (tmp_path / name).symlink_to(SHARED / "weights" / name)
    alone = CuratePhotos("", CurateRules(people_among_animals="reject"), str(tmp_path))
    dog = sorted((SHARED / "photos/animals/dog").glob("*.jpg"))[0].read_bytes()
    with pytest.raises(MissingError, match="mobilefacenet"):
        alone.one(dog, path="animals/dog/a.jpg")


@pytest.fixture(scope="module")
def real() -> CuratePhotos:
    names = ("yunet_n_dynamic.onnx", "pfld.onnx", "mobilefacenet.npz")
    if not all((SHARED / "weights" / name).exists() for name in names) or not (SHARED / "photos").is_dir():
        pytest.skip(f"the real networks and photographs are not in {SHARED}")
    return CuratePhotos("", CurateRules(people_among_animals="reject"), str(SHARED / "weights"))


def reason(row: dict) -> str:
    return row["reject"]["reason"] if row["reject"] else "accepted"


def test_people_under_an_animals_name_are_rejected_and_animals_are_not(real: CuratePhotos) -> None:
    people = sorted((SHARED / "photos/human/lfw").glob("*.jpg"))[::260][:20]
    reasons = [reason(real.one(path.read_bytes(), path="animals/dog/a.jpg")) for path in people]
    # Two show a part of somebody else, which is nobody's face to the judge.
    assert reasons.count("person") >= 18, reasons
    # The detector's own rejects apart, all but one are animals to the judge as well.
    animals = [
        path for folder in sorted((SHARED / "photos/animals").iterdir()) for path in sorted(folder.glob("*.jpg"))[:4]
    ]
    reasons = [reason(real.one(path.read_bytes(), path=f"animals/{path.parent.name}/a.jpg")) for path in animals]
    assert reasons.count("person") <= 1 and reasons.count("accepted") >= 20, reasons


def test_the_dog_in_its_owners_arms_is_the_subject(real: CuratePhotos) -> None:
    """A boy holds a dog: the detector is surer of him."""
    data = (SHARED / "photos/animals/dog/ardamavi__dog.1121.jpg").read_bytes()
    kept = CuratePhotos("", CurateRules(), str(SHARED / "weights"))
    boy, dog = (stage.one(data, path="animals/dog/a.jpg") for stage in (kept, real))
    assert boy["detector_score"] > 0.9 > dog["detector_score"]
    assert (reason(boy), reason(dog)) == ("accepted", "accepted")
    assert (boy["quality"]["num_faces"], dog["quality"]["num_faces"]) == (2, 1)
