"""People in animals' photographs: owners are told from their animals, and the animal beside them is found."""

from pathlib import Path

import numpy as np
import pytest

from rupantara.faces.finder import FaceFinder
from rupantara.faces.person import DLIB_WEIGHTS, WEIGHTS, describe
from rupantara.imaging import codec
from rupantara.stages.curate import CuratePhotos, CurateRules

SHARED = Path(__file__).resolve().parents[2].parent / "shared/data"


def test_points_that_no_face_can_have_are_no_persons(judges: FaceFinder) -> None:
    """They are rejected later, with their own reason; the photograph's other faces are judged."""
    data = sorted((SHARED / "photos/human/lfw").glob("*.jpg"))[0].read_bytes()
    picture = codec.decode(data)
    points = judges._yunet.detect(picture, "human")[0].keypoints
    odds = judges._person(picture, [points, np.zeros((5, 2), np.float32), np.full((5, 2), np.nan, np.float32)])
    assert odds[0] > 0 and list(odds[1:]) == [-np.inf, -np.inf]
    assert len(judges._person(picture, [])) == 0


def test_what_is_judged_is_direction_and_length() -> None:
    vectors = np.random.default_rng(0).normal(size=(5, 128)).astype(np.float32)
    seen = describe(np.concatenate([vectors, 3 * vectors, np.zeros((1, 128))]))
    assert seen.shape == (11, len(WEIGHTS)) == (11, len(DLIB_WEIGHTS))
    np.testing.assert_allclose(np.linalg.norm(seen[:10, :-1], axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(seen[5:10], seen[:5] * ([1] * 128 + [3]), rtol=1e-6)
    assert not seen[10].any()


@pytest.fixture(scope="module", params=["mobilefacenet", "face_recognition"])
def folder(request: pytest.FixtureRequest) -> str:
    """Where the judge's network is: a folder with MobileFaceNet, or what ships."""
    if not (SHARED / "photos").is_dir() or not (SHARED / "weights/mobilefacenet.npz").exists():
        pytest.skip(f"the real networks and photographs are not in {SHARED}")
    return str(SHARED / "weights") if request.param == "mobilefacenet" else ""


@pytest.fixture(scope="module")
def judges(folder: str) -> FaceFinder:
    return FaceFinder(folder)


@pytest.fixture(scope="module")
def real(folder: str) -> CuratePhotos:
    return CuratePhotos("", CurateRules(people_among_animals="reject"), folder)


def reason(row: dict) -> str:
    return row["reject"]["reason"] if row["reject"] else "accepted"


def test_people_under_an_animals_name_are_rejected_and_animals_are_not(real: CuratePhotos) -> None:
    people = sorted((SHARED / "photos/human/lfw").glob("*.jpg"))[::260][:20]
    reasons = [reason(real.one(path.read_bytes(), path="animals/dog/a.jpg")) for path in people]
    # Two show a part of somebody else, which is nobody's face to the judge.
    assert reasons.count("person") >= 17 and reasons.count("accepted") <= 1, reasons
    animals = [
        path for folder in sorted((SHARED / "photos/animals").iterdir()) for path in sorted(folder.glob("*.jpg"))[:4]
    ]
    reasons = [reason(real.one(path.read_bytes(), path=f"animals/{path.parent.name}/a.jpg")) for path in animals]
    assert reasons.count("person") <= 1 and reasons.count("accepted") >= 27, reasons


def test_an_animal_among_people_is_rejected_by_name(real: CuratePhotos) -> None:
    """A dog's photograph given as a person's has no person's face, and where YuNet takes the dog for one, it is an animal's."""
    dogs = [
        p
        for species in ("dog", "lion", "wolf")
        for p in sorted((SHARED / f"photos/animals/{species}").glob("*.jpg"))[:8]
    ]
    reasons = [reason(real.one(path.read_bytes())) for path in dogs]
    assert reasons.count("accepted") <= 1 and set(reasons) <= {"animal", "no_face", "accepted"}, reasons


def test_the_dog_in_its_owners_arms_is_the_subject(real: CuratePhotos) -> None:
    """A boy holds a dog: both have a face, and the dog's is the animal's."""
    data = (SHARED / "photos/animals/dog/ardamavi__dog.1121.jpg").read_bytes()
    as_animal, as_person = real.one(data, path="animals/dog/a.jpg"), real.one(data)
    assert (reason(as_animal), reason(as_person)) == ("accepted", "accepted")
    assert as_animal["points"] is not None and as_person["landmarks"] is not None
