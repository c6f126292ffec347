"""A morph lies between its parents in shape and texture, and in the first one's surroundings."""

from functools import lru_cache

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import RBFInterpolator
from scipy.ndimage import map_coordinates

from rupantara.landmarks.align import align, transform_points
from rupantara.landmarks.morph import INNER_MARGIN_PX, Morph, frame_points, hull_mask, morph
from rupantara.synthetic import draw_face

SIZE = 128
alphas = st.floats(0, 1).map(lambda alpha: round(alpha, 3))


@lru_cache
def _face(identity: int, size: int = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """Return a drawn human's aligned crop with its exact landmarks."""
    face = draw_face("human", identity, size=240)
    aligned = align(face.image, face.keypoints, "human", size)
    return aligned.crop, transform_points(face.landmarks, aligned.transform).astype(np.float64)


def _morph(first: int, second: int, alpha: float, size: int = SIZE) -> Morph:
    return morph(*_face(first), *_face(second), alpha=alpha, size=size)


def _difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(float) - b).mean())


def _alike(a: np.ndarray, b: np.ndarray, where: np.ndarray) -> float:
    """Correlate the changes from pixel to pixel."""
    changes = [np.diff(picture.astype(float), axis=1)[where[:, 1:]].ravel() for picture in (a, b)]
    return float(np.corrcoef(*changes)[0, 1])


@settings(max_examples=8, deadline=None)
@given(identity=st.integers(0, 5), alpha=alphas)
def test_a_face_morphed_with_itself_is_itself(identity: int, alpha: float) -> None:
    crop, points = _face(identity)
    made = _morph(identity, identity, alpha)
    assert _difference(made.picture, crop) < 0.5
    assert np.abs(made.picture.astype(int) - crop).max() <= 4
    np.testing.assert_allclose(made.landmarks, points, atol=1e-4)


@pytest.mark.parametrize(("first", "second"), [(0, 1), (2, 3), (4, 1)])
def test_at_alpha_0_a_morph_is_the_first_face(first: int, second: int) -> None:
    made = _morph(first, second, 0.0)
    assert _difference(made.picture, _face(first)[0]) < 0.5
    np.testing.assert_allclose(made.landmarks, _face(first)[1], atol=1e-4)


@pytest.mark.parametrize(("first", "second"), [(0, 1), (2, 3), (4, 1)])
def test_at_alpha_1_a_morph_has_the_second_face_s_points_and_its_features(first: int, second: int) -> None:
    """Its features by their gradients, as the blend takes them: the level and the light are the first face's."""
    made = _morph(first, second, 1.0)
    np.testing.assert_allclose(made.landmarks, _face(second)[1], atol=1e-4)
    inner = hull_mask(made.landmarks[27:], SIZE, SIZE) > 0
    assert _alike(made.picture, _face(second)[0], inner) > 0.9
    assert _alike(made.picture, _face(first)[0], inner) < 0.7


@settings(max_examples=8, deadline=None)
@given(first=st.integers(0, 5), second=st.integers(0, 5), alpha=alphas)
def test_landmarks_are_the_weighted_mean(first: int, second: int, alpha: float) -> None:
    expected = (1 - alpha) * _face(first)[1] + alpha * _face(second)[1]
    np.testing.assert_allclose(_morph(first, second, alpha).landmarks, expected, atol=1e-4)


def _warped_by_scipy(identity: int, mean: np.ndarray) -> np.ndarray:
    """Carry a face's landmarks to `mean` with its frame held, by scipy's spline and scipy's cubic interpolation."""
    crop, points = _face(identity)
    frame = frame_points(SIZE, SIZE)
    spline = RBFInterpolator(np.r_[mean, frame], np.r_[points, frame], kernel="linear", degree=1)
    y, x = np.mgrid[:SIZE, :SIZE]
    source = spline(np.c_[x.ravel(), y.ravel()])[:, ::-1].T
    channels = [map_coordinates(crop[..., c].astype(float), source, order=3, mode="mirror") for c in range(3)]
    return np.stack(channels, axis=-1).clip(0, 255).reshape(SIZE, SIZE, 3)


def test_outside_the_hull_s_box_a_morph_is_the_warped_first_face() -> None:
    first, second, alpha = 1, 2, 0.5
    made = _morph(first, second, alpha)
    x, y, width, height = cv2.boundingRect(made.mask)
    outside = np.ones((SIZE, SIZE), bool)
    outside[y : y + height, x : x + width] = False
    expected = _warped_by_scipy(first, (_face(first)[1] + _face(second)[1]) / 2)
    assert _difference(made.picture[outside], expected[outside]) < 1.5
    assert _difference(made.picture[outside], _warped_by_scipy(second, made.landmarks)[outside]) > 10
    # Bit for bit: what the second face shows cannot reach there, only where its points are.
    other = morph(*_face(first), 255 - _face(second)[0], _face(second)[1], alpha=alpha, size=SIZE)
    np.testing.assert_array_equal(made.picture[outside], other.picture[outside])
    assert _difference(made.picture, other.picture) > 1


def test_inside_a_morph_has_the_gradients_of_the_mean_texture() -> None:
    """Correlated over the eyes, nose and mouth with the mean of both faces warped by scipy."""
    made = _morph(0, 3, 0.5)
    texture = (_warped_by_scipy(0, made.landmarks) + _warped_by_scipy(3, made.landmarks)) / 2
    inner = hull_mask(made.landmarks[27:], SIZE, SIZE) > 0
    assert _alike(made.picture, texture, inner) > 0.97


def test_morphing_twice_gives_the_same_bytes_and_leaves_the_parents_alone() -> None:
    before = [array.copy() for array in (*_face(0), *_face(1))]
    one, other = _morph(0, 1, 0.37), _morph(0, 1, 0.37)
    for name in ("picture", "landmarks", "mask"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for array, copy in zip((*_face(0), *_face(1)), before, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("size", [64, 96, 200])
def test_a_morph_of_another_size_is_the_same_picture(size: int) -> None:
    made, plain = _morph(0, 1, 0.5, size), _morph(0, 1, 0.5)
    assert made.picture.shape == (size, size, 3) and made.mask.shape == (size, size)
    np.testing.assert_allclose(made.landmarks / size, plain.landmarks / SIZE, atol=1e-5)
    resized = cv2.resize(plain.picture, (size, size), interpolation=cv2.INTER_AREA if size < SIZE else cv2.INTER_CUBIC)
    assert _difference(made.picture, resized) < 6


def test_parents_of_two_sizes_meet_at_the_wanted_one() -> None:
    made = morph(*_face(0, 96), *_face(1), alpha=0.5, size=SIZE)
    np.testing.assert_allclose(made.landmarks, _morph(0, 1, 0.5).landmarks, atol=0.6)
    assert _difference(made.picture, _morph(0, 1, 0.5).picture) < 6


@pytest.mark.parametrize("move", [(60, 0), (-60, 0), (0, 70), (0, -70), (60, 60)])
def test_a_hull_over_the_border_stays_inside_it(move: tuple[int, int]) -> None:
    crop, points = _face(0)
    made = morph(crop, points + move, _face(1)[0], _face(1)[1] + move, alpha=0.5, size=SIZE)
    m = INNER_MARGIN_PX
    assert (made.mask[m:-m, m:-m] > 0).sum() == (made.mask > 0).sum() > 0


COLLAPSED = np.full((68, 2), 60.0)
LINE = np.stack([np.linspace(10, 110, 68), np.linspace(20, 90, 68)], axis=1)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (COLLAPSED, COLLAPSED),
        (LINE, LINE),
        (_face(0)[1] + 500, _face(1)[1] + 500),
        (_face(0)[1] * 0.05, _face(0)[1] * 0.05),
    ],
    ids=["one point", "a line", "outside the crop", "a dwarf"],
)
def test_landmarks_without_a_face_are_refused(first: np.ndarray, second: np.ndarray) -> None:
    with pytest.raises(ValueError, match="hull must cover"):
        morph(_face(0)[0], first, _face(1)[0], second, alpha=0.5, size=SIZE)


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
def test_landmarks_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        morph(_face(0)[0], np.full((68, 2), np.nan), *_face(1), alpha=0.5, size=SIZE)


def test_a_few_repeated_landmarks_do_no_harm() -> None:
    crop, points = _face(0)
    repeated = points.copy()
    repeated[60], repeated[64] = repeated[48], repeated[54]
    made = morph(crop, repeated, crop, repeated, alpha=0.5, size=SIZE)
    assert _difference(made.picture, crop) < 0.5
