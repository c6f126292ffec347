"""Two faces in one shape: what was shifted comes together, and a whole share changes nothing of that face."""

import cv2
import numpy as np

from rupantara.generation.face import FaceCrop
from rupantara.generation.shared_shape import in_one_shape
from rupantara.landmarks.morph import hull_mask
from rupantara.synthetic import draw_face

SHIFT = (9.0, -6.0)


def _pair() -> tuple[FaceCrop, FaceCrop]:
    drawn = draw_face("human", 3, size=128)
    assert drawn.landmarks is not None
    picture = cv2.GaussianBlur(drawn.image, (0, 0), 1.5)
    matrix = np.array([[1, 0, SHIFT[0]], [0, 1, SHIFT[1]]], np.float64)
    moved = cv2.warpAffine(picture, matrix, (128, 128), borderMode=cv2.BORDER_REPLICATE)
    points = drawn.landmarks.astype(np.float32)
    return FaceCrop.of("here", picture, points), FaceCrop.of("there", moved, points + np.float32(SHIFT))


def _apart(one: FaceCrop, other: FaceCrop) -> float:
    assert one.landmarks is not None
    inside = hull_mask(one.landmarks, 128, 128) > 0
    return float(np.abs(one.picture.astype(int) - other.picture)[inside].mean())


def test_a_face_and_its_shifted_copy_come_together_half_way() -> None:
    first, second = _pair()
    met, other = in_one_shape(first, second, 0.5)
    assert _apart(met, other) < 0.15 * _apart(first, second)
    assert first.landmarks is not None
    np.testing.assert_allclose(met.landmarks, first.landmarks + np.float32(SHIFT) / 2, atol=1e-3)
    np.testing.assert_allclose(met.landmarks, other.landmarks, atol=1e-3)
    np.testing.assert_array_equal(met.boxes, other.boxes)
    back, same = in_one_shape(second, first, 0.5)
    assert np.abs(back.picture.astype(int) - other.picture).max() <= 1
    assert np.abs(same.picture.astype(int) - met.picture).max() <= 1


def test_of_a_whole_share_that_face_stays_and_the_other_comes_to_it() -> None:
    first, second = _pair()
    met, other = in_one_shape(first, second, 1.0)
    assert np.abs(met.picture.astype(int) - first.picture).max() <= 1
    assert _apart(first, other) < 0.15 * _apart(first, second)


def test_faces_without_landmarks_or_with_useless_ones_stay_as_they_are() -> None:
    first, second = _pair()
    blank = FaceCrop.of("blank", first.picture)
    assert in_one_shape(first, blank, 0.5) == (first, blank)
    flat = FaceCrop("flat", first.picture, first.boxes, np.full((68, 2), np.nan, np.float32))
    assert in_one_shape(flat, second, 0.5)[1] is second
