"""Seamless cloning solves the equation it says, and gives the pictures that OpenCV gives."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rupantara.imaging.poisson import bounding_box, seamless_clone, solve_dirichlet

seeds = st.integers(0, 2**32 - 1)
sides = st.tuples(st.integers(40, 120), st.integers(40, 120))


def _smooth(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    noise = cv2.GaussianBlur(rng.normal(size=(height, width, 3)), (0, 0), rng.uniform(2, 10))
    low, high = sorted(rng.uniform(0, 255, 2))
    return (low + (noise - noise.min()) / np.ptp(noise) * (high - low)).astype(np.uint8)


def _mask(kind: str, rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Draw a mask that leaves the picture's outermost pixels free."""
    mask = np.zeros((height, width), np.uint8)
    if kind == "circle":
        cv2.circle(mask, (width // 2, height // 2), min(height, width) // 3, 255, -1)
    elif kind == "hull":
        points = np.int32(rng.uniform(0.05, 0.95, (12, 2)) * (width - 1, height - 1))
        cv2.fillConvexPoly(mask, cv2.convexHull(points), 255)
    elif kind == "rectangle":
        mask[height // 5 : -height // 6, width // 4 : -width // 5] = 255
    elif kind == "two pieces":
        cv2.circle(mask, (width // 4, height // 4), min(height, width) // 6, 255, -1)
        mask[height // 2 : -4, width // 2 : -5] = 255
    else:
        mask[1:-1, 1:-1] = 255
    return mask


def _opencv(source: np.ndarray, target: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Clone in place; OpenCV writes into the mask that it is given."""
    x, y, width, height = cv2.boundingRect(mask)
    return cv2.seamlessClone(source, target, mask.copy(), (x + width // 2, y + height // 2), cv2.NORMAL_CLONE)


KINDS = ("circle", "hull", "rectangle", "two pieces", "all but the frame")


@settings(max_examples=12, deadline=None)
@given(seed=seeds, side=sides)
@pytest.mark.parametrize("kind", KINDS)
def test_the_picture_is_opencv_s_within_a_grey_level(kind: str, seed: int, side: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    source, target, mask = _smooth(rng, *side), _smooth(rng, *side), _mask(kind, rng, *side)
    difference = np.abs(seamless_clone(source, target, mask).astype(int) - _opencv(source, target, mask))
    assert difference.max() <= 1


def _laplacian(picture: np.ndarray) -> np.ndarray:
    return cv2.Laplacian(picture.astype(np.float64), cv2.CV_64F, ksize=1)


def test_the_result_has_the_source_s_curvature_under_the_mask_and_the_target_s_beside_it() -> None:
    """Five rounded pixels make at most 4 levels; the noise's own are ten times that."""
    rng = np.random.default_rng(0)
    source, target = rng.integers(108, 149, (2, 90, 80, 3), np.uint8)
    mask = _mask("circle", rng, 90, 80)
    curvature = _laplacian(seamless_clone(source, target, mask))
    x, y, width, height = bounding_box(mask)
    box = np.zeros_like(mask)
    box[y + 2 : y + height - 2, x + 2 : x + width - 2] = 255
    inside, beside = cv2.erode(mask, np.ones((11, 11))) > 0, (box > 0) & (cv2.dilate(mask, np.ones((3, 3))) == 0)
    assert inside.sum() > 500 and beside.sum() > 100
    for where, kept, other in ((inside, source, target), (beside, target, source)):
        assert np.abs(curvature - _laplacian(kept))[where].max() <= 4
        assert np.abs(curvature - _laplacian(other))[where].mean() > 40


@settings(max_examples=60, deadline=None)
@given(seed=seeds, height=st.integers(3, 40), width=st.integers(3, 40), channels=st.integers(1, 4))
def test_solving_undoes_the_five_point_laplacian(seed: int, height: int, width: int, channels: int) -> None:
    u = np.random.default_rng(seed).uniform(-300, 300, (height, width, channels))
    neighbours = u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:]
    before = u.copy()
    solved = solve_dirichlet(neighbours - 4 * u[1:-1, 1:-1], u)
    np.testing.assert_allclose(solved, u[1:-1, 1:-1], atol=1e-8)
    np.testing.assert_array_equal(u, before)


def test_one_unknown_is_the_mean_of_its_neighbours_less_a_quarter_of_its_divergence() -> None:
    border = np.array([[0, 1, 0], [2, -99, 3], [0, 10, 0]], float)[..., None]
    assert solve_dirichlet(np.full((1, 1, 1), 8.0), border).item() == pytest.approx((1 + 2 + 3 + 10 - 8) / 4)


@settings(max_examples=15, deadline=None)
@given(seed=seeds, side=sides, kind=st.sampled_from(KINDS), offset=st.integers(-40, 40))
def test_a_picture_cloned_into_itself_or_a_brighter_self_is_itself(
    seed: int, side: tuple[int, int], kind: str, offset: int
) -> None:
    """Gradients know no brightness: the offset is lost, and nothing else."""
    rng = np.random.default_rng(seed)
    target = np.uint8(40 + _smooth(rng, *side) * (175 / 255))
    mask = _mask(kind, rng, *side)
    cloned = seamless_clone(np.uint8(target + np.int16(offset)), target, mask)
    np.testing.assert_array_equal(cloned, target)


@settings(max_examples=15, deadline=None)
@given(seed=seeds, side=sides, kind=st.sampled_from(KINDS))
def test_pixels_on_the_box_s_frame_and_outside_are_the_target_s(seed: int, side: tuple[int, int], kind: str) -> None:
    rng = np.random.default_rng(seed)
    source, target = rng.integers(0, 256, (2, *side, 3), np.uint8)
    mask = _mask(kind, rng, *side)
    given_source, given_target, given_mask = source.copy(), target.copy(), mask.copy()
    cloned = seamless_clone(source, target, mask)
    x, y, width, height = bounding_box(mask)
    untouched = np.ones(side, bool)
    untouched[y + 1 : y + height - 1, x + 1 : x + width - 1] = False
    np.testing.assert_array_equal(cloned[untouched], target[untouched])
    for array, before in ((source, given_source), (target, given_target), (mask, given_mask)):
        np.testing.assert_array_equal(array, before)


def test_the_box_is_that_of_the_pixels_above_zero() -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[4, 7] = mask[9, 25] = 1
    assert bounding_box(mask) == (7, 4, 19, 6)


def test_pictures_of_two_sizes_are_refused() -> None:
    picture, mask = np.zeros((20, 30, 3), np.uint8), np.full((20, 30), 255, np.uint8)
    for arguments in ((picture[:-1], picture, mask), (picture, picture[:, :-1], mask), (picture, picture, mask.T)):
        with pytest.raises(ValueError, match="one size"):
            seamless_clone(*arguments)


@pytest.mark.parametrize("box", [np.s_[0:0, 0:0], np.s_[5:6, 5:6], np.s_[5:7, 2:15], np.s_[2:15, 5:7]])
def test_a_mask_that_is_empty_or_too_thin_has_no_inside(box: tuple[slice, slice]) -> None:
    picture, mask = np.zeros((20, 20, 3), np.uint8), np.zeros((20, 20), np.uint8)
    mask[box] = 255
    with pytest.raises(ValueError, match="at least 3 x 3"):
        seamless_clone(picture, picture, mask)
