"""Which of the faces in a photograph are an animal's and which a person's; what of a head is a reject, and why."""

from types import SimpleNamespace

import numpy as np
import pytest

from rupantara.errors import Rejected
from rupantara.faces.animal_heads import AnimalHeads, Head
from rupantara.faces.animal_network import load_network
from rupantara.faces.detector import Detection
from rupantara.faces.finder import FaceFinder, found_of, networks_of
from rupantara.faces.known import load_known_keypoints
from rupantara.landmarks.points import keypoints_from_six
from rupantara.storage import weights
from rupantara.synthetic import draw_face

PICTURE = np.zeros((8, 8, 3), np.uint8)
POINTS = np.array([[80, 90], [130, 92], [104, 130], [103, 146], [52, 40], [165, 44]], np.float32)


def head(left: float = 0.0, score: float = 0.8, hidden: int = -1, profile: float = 0.1, peak: float = 0.9) -> Head:
    visible, view = np.full(6, 0.9), np.array([0.9 - profile, 0.05, 0.05, profile])
    visible[hidden] = 0.1 if hidden >= 0 else 0.9
    box = np.array([left, 0, 100, 100], np.float32)
    return Head(box, POINTS + np.array([left, 0]), visible, np.full(6, peak), view, score)


def person(left: float) -> Detection:
    return Detection(np.array([left, 0, 100, 100], np.float32), np.full((5, 2), left, np.float32), 0.9)


def finder(heads: list[Head], people: dict[float, float], *, judge: bool = True) -> FaceFinder:
    """A finder that sees these heads, and faces at these places whose log-odds to be a person's are given."""
    made = FaceFinder(judge_people=judge)
    made.__dict__["_heads"] = SimpleNamespace(find=lambda picture: heads)
    made.__dict__["_yunet"] = SimpleNamespace(detect=lambda picture, domain: [person(left) for left in people])
    made.__dict__["_person"] = lambda picture, faces: np.array([people[float(points[0, 0])] for points in faces])
    return made


def reason_of(call) -> str:
    with pytest.raises(Rejected) as refused:
        call()
    return refused.value.reason


def test_the_animal_beside_its_owner_is_found_and_the_owner_is_not() -> None:
    both = [head(0), head(300)]
    assert [f.box[0] for f in finder(both, {0.0: 4.0}).find(PICTURE, "animal")] == [300]
    assert [f.box[0] for f in finder(both, {0.0: -4.0}).find(PICTURE, "animal")] == [0, 300]
    assert [f.box[0] for f in finder(both, {0.0: 4.0}, judge=False).find(PICTURE, "animal")] == [0, 300]


def test_a_person_alone_is_rejected_by_name_and_nothing_as_no_face() -> None:
    assert reason_of(lambda: finder([head(10)], {10.0: 4.0}).find(PICTURE, "animal")) == "person"
    assert reason_of(lambda: finder([], {10.0: 4.0}).find(PICTURE, "animal")) == "person"
    assert reason_of(lambda: finder([], {10.0: -4.0}).find(PICTURE, "animal")) == "no_face"
    assert reason_of(lambda: finder([], {}).find(PICTURE, "human")) == "no_face"


def test_heads_that_are_turned_away_or_unsure_carry_their_reason() -> None:
    assert found_of(head()).reject is None
    assert found_of(head(hidden=4)).reject is None, "an ear may be hidden"
    for refused, reason in (
        (head(hidden=1), "turned_away"),
        (head(profile=0.7), "turned_away"),
        (head(peak=0.05), "not_sure"),
    ):
        found = found_of(refused).reject
        assert found is not None and found.reason == reason


def test_hidden_points_are_null_and_the_five_keypoints_are_there_all_the_same() -> None:
    found = found_of(head(hidden=3))
    assert found.points is not None and np.isnan(found.points[3]).all() and np.isfinite(found.points[:3]).all()
    assert np.isfinite(found.keypoints).all()
    np.testing.assert_allclose(found_of(head()).keypoints[3:].mean(0), POINTS[3], atol=1e-4)


def test_six_points_give_the_five_of_eyes_nose_and_mouth() -> None:
    five = keypoints_from_six(POINTS[:4])
    np.testing.assert_array_equal(five[:3], POINTS[:3])
    assert five[3, 0] < POINTS[3, 0] < five[4, 0]
    without = keypoints_from_six(np.where(np.arange(4)[:, None] == 3, np.nan, POINTS[:4]))
    assert np.abs(without[3:].mean(0) - POINTS[3]).max() < 12


def test_known_points_by_name_are_an_animals_and_a_hidden_eye_is_turned_away() -> None:
    data = b'[{"file": "a.jpg", "points": {"left_eye": [1, 2], "right_eye": [4, 2], "nose": [2, 4], "mouth": null}, "yaw": "left"}]'
    points = load_known_keypoints(data, "k.json")["a.jpg"]
    assert points.shape == (6, 2) and np.isfinite(points[:3]).all() and np.isnan(points[3:]).all()
    picture = np.zeros((30, 30, 3), np.uint8)
    found = FaceFinder().find(picture, "animal", points)[0]
    np.testing.assert_array_equal(found.keypoints[:3], points[:3])
    points[0] = np.nan
    assert reason_of(lambda: FaceFinder().find(picture, "animal", points)) == "turned_away"


def test_the_networks_that_photographs_need_are_named() -> None:
    people = networks_of("", people=True, animals=False, judge_people=True)
    assert people[:4] == ["yunet", "face_landmark_68", "face_expression", "age_gender"]
    animals = networks_of("", people=False, animals=True, judge_people=True)
    assert animals == ["yunet", "animal_landmarks", "face_recognition"]
    assert networks_of("", people=False, animals=True, judge_people=False) == ["yunet", "animal_landmarks"]


def test_a_photograph_of_nothing_holds_no_face() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    for picture in (noise, np.full((50, 200, 3), 128, np.uint8), np.zeros((30, 30, 3), np.uint8)):
        heads = FaceFinder()._heads.find(picture)
        assert all(found_of(one).reject is not None for one in heads)


@pytest.mark.parametrize("species", ["dog", "cat", "tiger"])
def test_a_head_that_is_a_small_part_of_the_photograph_is_looked_at_until_it_is_large(species: str) -> None:
    drawn = draw_face(species, 0, size=128)
    photograph = np.full((768, 768, 3), 128, np.uint8)
    photograph[320:448, 320:448] = drawn.image
    (first, *_) = AnimalHeads(load_network(weights.load("", "animal_landmarks"))).find(photograph)
    marked = drawn.keypoints[:3] + 320
    away = np.hypot(*(first.points[:3] - marked).T) / np.hypot(*(marked[1] - marked[0]))
    assert away.max() < 0.25


def test_small_heads_side_by_side_are_both_found() -> None:
    drawn = {"dog": (160, 320), "cat": (480, 320)}
    photograph = np.full((768, 768, 3), 128, np.uint8)
    for species, (left, top) in drawn.items():
        photograph[top : top + 128, left : left + 128] = draw_face(species, 0, size=128).image
    found = AnimalHeads(load_network(weights.load("", "animal_landmarks"))).find(photograph)
    middles = [head.box[:2] + head.box[2:] / 2 for head in found]
    for left, top in drawn.values():
        assert sum(bool((np.abs(middle - (left + 64, top + 64)) < 40).all()) for middle in middles) == 1
