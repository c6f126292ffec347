"""Laws of the drawn faces: equal seeds, lasting identity, points inside the picture and where they are drawn."""

import numpy as np
import pytest

from rupantara.synthetic import SPECIES, DrawnFace, draw_face
from rupantara.synthetic.faces import keypoints_of

EVERYONE = ("human", *SPECIES)


@pytest.mark.parametrize("species", EVERYONE)
def test_equal_seeds_draw_equal_bytes(species: str) -> None:
    one, other = draw_face(species, 3, 1), draw_face(species, 3, 1)
    assert one.image.tobytes() == other.image.tobytes()
    assert one.keypoints.tobytes() == other.keypoints.tobytes()


@pytest.mark.parametrize("species", EVERYONE)
def test_seed_identity_and_picture_each_change_the_drawing(species: str) -> None:
    drawn = [draw_face(species, 3), draw_face(species, 4), draw_face(species, 3, 1), draw_face(species, 3, seed=1)]
    assert len({face.image.tobytes() for face in drawn}) == 4


@pytest.mark.parametrize("species", EVERYONE)
def test_every_point_lies_inside_the_picture(species: str) -> None:
    for identity in range(200 if species == "human" else 25):
        face = draw_face(species, identity, size=96)
        points = face.keypoints if face.landmarks is None else np.vstack([face.keypoints, face.landmarks])
        assert (points >= 0).all() and (points <= 95).all(), (species, identity)


@pytest.mark.parametrize("species", EVERYONE)
def test_keypoints_keep_their_order_in_the_picture(species: str) -> None:
    for identity in range(20):
        left, right, nose, left_corner, right_corner = draw_face(species, identity, size=64).keypoints
        axis = (right - left) / np.linalg.norm(right - left)
        down = np.array([-axis[1], axis[0]])
        assert axis[0] > 0.9
        assert 0 < (nose - left) @ down < min((left_corner - left) @ down, (right_corner - left) @ down)
        assert (left_corner - left) @ axis < (nose - left) @ axis < (right_corner - left) @ axis


def test_keypoints_are_the_means_and_corners_of_the_landmarks() -> None:
    face = draw_face("human", 5)
    by_hand = [face.landmarks[36:42].mean(0), face.landmarks[42:48].mean(0), *face.landmarks[[30, 48, 54]]]
    np.testing.assert_allclose(face.keypoints, by_hand, atol=1e-4)
    np.testing.assert_array_equal(keypoints_of(face.landmarks), face.keypoints)


def test_landmarks_run_from_left_to_right_in_the_picture() -> None:
    for identity in range(20):
        points = draw_face("human", identity, size=64).landmarks
        for run in ([0, 8, 16], [17, 21, 22, 26], [31, 33, 35], [36, 39, 42, 45], [48, 51, 54], [60, 62, 64]):
            assert (np.diff(points[run, 0]) > 0).all(), (identity, run)
        assert points[8, 1] == points[:, 1].max() or points[[7, 9], 1].max() == points[:, 1].max()


def test_proportions_are_those_of_photographs() -> None:
    ratios = []
    for identity in range(60):
        points = draw_face("human", identity, size=64).landmarks
        left, right, _, *corners = keypoints_of(points)
        between = np.linalg.norm(right - left)
        width = np.linalg.norm(points[16] - points[0])
        ratios.append((between / width, np.linalg.norm(np.mean(corners, axis=0) - (left + right) / 2) / between))
    (width_ratio, mouth_ratio) = np.mean(ratios, axis=0)
    assert 0.38 < width_ratio < 0.46
    assert 0.95 < mouth_ratio < 1.25


def test_size_scales_the_points_and_nothing_else() -> None:
    small, large = draw_face("human", 2, size=160), draw_face("human", 2, size=320)
    np.testing.assert_allclose(large.landmarks, 2 * small.landmarks, atol=1e-3)


def test_species_differ_more_than_the_individuals_of_one() -> None:
    def shape(species: str, identity: int) -> np.ndarray:
        points = draw_face(species, identity, size=64).keypoints
        between = np.linalg.norm(points[1] - points[0])
        return np.linalg.norm(points[2:] - points[:2].mean(0), axis=1) / between

    shapes = np.array([[shape(species, i) for i in range(12)] for species in ("cat", "tiger", "wolf")])
    assert shapes.std(axis=1).mean() < shapes.mean(axis=1).std(axis=0).mean()


def test_pictures_of_one_species_are_no_copies_of_another() -> None:
    drawn = [draw_face(species, 0, size=64) for species in EVERYONE]
    assert len({face.image.tobytes() for face in drawn}) == len(EVERYONE)
    assert [face.domain for face in drawn] == ["human"] + ["animal"] * 8
    assert drawn[0].identity == "drawn_human_00000"


def test_wrong_arguments_are_refused_with_their_value() -> None:
    with pytest.raises(ValueError, match="'cow'"):
        draw_face("cow", 0)
    with pytest.raises(ValueError, match="size"):
        draw_face("cat", 0, size=8)


@pytest.mark.parametrize("species", EVERYONE)
def test_identity_keeps_its_shape_while_pose_and_light_vary(species: str) -> None:
    """Compare a ratio of two level distances, which yaw, roll and scale leave as it is."""

    def ratio(face: DrawnFace) -> float:
        left, right, _, *corners = face.keypoints
        level = corners if face.landmarks is None else face.landmarks[[0, 16]]
        return float(np.linalg.norm(level[1] - level[0]) / np.linalg.norm(right - left))

    faces = [[draw_face(species, identity, picture, 64) for picture in range(3)] for identity in range(6)]
    ratios = np.array([[ratio(face) for face in row] for row in faces])
    assert np.ptp(ratios, axis=1).max() < 0.01 * ratios.mean()
    assert np.ptp(ratios[:, 0]) > 0.03 * ratios.mean()
    for row in faces:
        assert np.ptp([face.image.mean() for face in row]) > 1
        assert np.ptp([face.keypoints[2] for face in row], axis=0).max() > 1
