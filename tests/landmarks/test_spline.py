"""The spline goes through its control points, keeps affine maps, and is the one that scipy finds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import RBFInterpolator

from rupantara.landmarks.spline import MIN_DISTANCE_PX, DegenerateError, evaluate, flow, merge_repeated, solve

seeds = st.integers(0, 2**32 - 1)
sizes = st.tuples(st.integers(16, 90), st.integers(16, 90))


def _points(rng: np.random.Generator, number: int, height: int, width: int) -> np.ndarray:
    """Draw points on whole pixels, no two the same, the first three not on one line."""
    corners = [0, width - 1, (height - 1) * width]
    rest = rng.permutation(np.setdiff1d(np.arange(height * width), corners))[: number - 3]
    return np.stack(np.divmod(np.array([*corners, *rest]), width)[::-1], axis=1).astype(float)


def _grid(height: int, width: int) -> np.ndarray:
    return np.stack(np.meshgrid(np.arange(width), np.arange(height))).astype(float)


@settings(max_examples=20, deadline=None)
@given(seed=seeds, number=st.integers(3, 76), size=sizes)
def test_points_that_stay_leave_every_pixel_where_it_is(seed: int, number: int, size: tuple[int, int]) -> None:
    points = _points(np.random.default_rng(seed), number, *size)
    found = flow(points, points, height=size[0], width=size[1])
    np.testing.assert_allclose(found[0], _grid(*size), atol=1e-3)


@settings(max_examples=20, deadline=None)
@given(seed=seeds, number=st.integers(3, 76), size=sizes)
def test_control_points_go_where_they_are_sent(seed: int, number: int, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    target = _points(rng, number, *size)
    source = target + rng.normal(0, 6, target.shape)
    found = flow(target, source, height=size[0], width=size[1])[0]
    x, y = target.astype(int).T
    np.testing.assert_allclose(found[:, y, x].T, source, atol=2e-3)


@settings(max_examples=15, deadline=None)
@given(seed=seeds, number=st.integers(4, 76), size=sizes)
def test_the_map_is_that_of_scipy_s_linear_radial_basis(seed: int, number: int, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    target = _points(rng, number, *size)
    source = target + rng.normal(0, 4, target.shape)
    reference = RBFInterpolator(target, source, kernel="linear", degree=1)
    expected = reference(_grid(*size).reshape(2, -1).T).T.reshape(2, *size)
    np.testing.assert_allclose(flow(target, source, height=size[0], width=size[1])[0], expected, atol=1e-3)


@settings(max_examples=20, deadline=None)
@given(seed=seeds, number=st.integers(3, 40), size=sizes)
def test_an_affine_map_is_kept_exactly_with_no_radial_part(seed: int, number: int, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    target = _points(rng, number, *size)
    linear, shift = rng.uniform(-2, 2, (2, 2)), rng.uniform(-30, 30, 2)
    source = target @ linear.T + shift
    expected = np.einsum("ij,jhw->ihw", linear, _grid(*size)) + shift[:, None, None]
    np.testing.assert_allclose(flow(target, source, height=size[0], width=size[1])[0], expected, atol=2e-3)
    weights = solve(target, source)
    np.testing.assert_allclose(weights[:-3], 0, atol=1e-8)
    np.testing.assert_allclose(weights[-3:], [*linear.T, shift], atol=1e-6)


def test_weights_of_a_hand_worked_cone_are_its_height() -> None:
    """Radial parts must sum to 0 over 1, x and y: at (±1, 0), (0, ±1) they alternate, and f = w(r1 - r2 + r3 - r4) there.

    At (1, 0): distances 0, 2 to its pair and sqrt(2) twice to the others, so f = w (2 - 2 sqrt(2)); f = ±1 alternating.
    """
    target = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    weights = solve(target, np.array([[1.0], [1], [-1], [-1]]))
    w = 1 / (2 - 2 * 2**0.5)
    np.testing.assert_allclose(weights.ravel(), [w, w, -w, -w, 0, 0, 0], atol=1e-12)
    assert evaluate(target + 3, weights, 7, 7)[0, 3, 3] == pytest.approx(0, abs=1e-6)


def test_several_sources_in_one_call_are_separate_calls() -> None:
    rng = np.random.default_rng(5)
    target = _points(rng, 30, 50, 70)
    sources = [target + rng.normal(0, 3, target.shape) for _ in range(3)]
    together = flow(target, *sources, height=50, width=70)
    for one, source in zip(together, sources, strict=True):
        np.testing.assert_allclose(one, flow(target, source, height=50, width=70)[0], atol=1e-3)
    assert np.abs(together[0] - together[1]).max() > 1


def test_a_wider_picture_continues_a_narrower_one() -> None:
    """Whatever the number of rows left over at the bottom."""
    rng = np.random.default_rng(6)
    target = _points(rng, 20, 30, 30)
    source = target + rng.normal(0, 3, target.shape)
    large = flow(target, source, height=37, width=61)
    for height, width in ((1, 1), (2, 61), (7, 5), (36, 33)):
        np.testing.assert_allclose(
            flow(target, source, height=height, width=width), large[..., :height, :width], atol=1e-3
        )


@settings(max_examples=20, deadline=None)
@given(seed=seeds, repeats=st.integers(1, 8))
def test_a_repeated_point_counts_once_at_its_sources_mean(seed: int, repeats: int) -> None:
    rng = np.random.default_rng(seed)
    target = _points(rng, 12, 40, 50)
    source = target + rng.normal(0, 3, target.shape)
    again = rng.choice(12, repeats, replace=False)
    moved = rng.normal(0, 2, (repeats, 2))
    mean = source.copy()
    mean[again] += moved / 2
    order = rng.permutation(12 + repeats)
    doubled = [np.concatenate(pair)[order] for pair in ((target, target[again]), (source, source[again] + moved))]
    found = flow(*doubled, height=40, width=50)
    np.testing.assert_allclose(found, flow(target, mean, height=40, width=50), atol=1e-3)


def test_points_apart_are_left_alone_and_those_closer_than_the_bound_are_averaged() -> None:
    target = np.array([[0.0, 0], [9, 0], [0, 9], [9, MIN_DISTANCE_PX * 0.8]])
    source = target * 2
    far = target * 10
    assert all(a is b for a, b in zip(merge_repeated(far, source), (far, source), strict=True))
    merged = merge_repeated(target, source)
    np.testing.assert_allclose(merged[0], [[0, 0], [9, 0.4 * MIN_DISTANCE_PX], [0, 9]])
    np.testing.assert_allclose(merged[1], merged[0] * 2)


LINE = np.stack([np.arange(6) * 5.0, 3 + np.arange(6) * 2.5], axis=1)
TRIANGLE = np.array([[0.0, 0], [20, 1], [4, 18]])


@pytest.mark.parametrize(
    "target",
    [
        LINE,
        LINE * (1, 0),
        TRIANGLE[:2],
        np.repeat(TRIANGLE[:2], 4, axis=0),
        np.full((68, 2), 7.0),
        np.where(TRIANGLE == 18, np.nan, TRIANGLE),
    ],
    ids=["on a line", "on a row", "two", "two repeated", "one repeated", "not a number"],
)
def test_points_that_determine_no_spline_are_refused(target: np.ndarray) -> None:
    with pytest.raises(DegenerateError):
        flow(target, np.nan_to_num(target) + 1, height=16, width=24)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_source_that_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(DegenerateError):
        flow(TRIANGLE, np.where(TRIANGLE == 18, value, TRIANGLE), height=16, width=24)
