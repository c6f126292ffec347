"""The guided filter against least squares in every window, and its laws."""

import numpy as np
import pytest

from rupantara.imaging.guided_filter import guided_filter

rng = np.random.default_rng(0)
GUIDE, PLANE = (rng.random((13, 17)).astype(np.float32) for _ in range(2))


def least_squares(guide: np.ndarray, plane: np.ndarray, radius: int, epsilon: float) -> np.ndarray:
    """Fit a ridge line in each window by the normal equations, and average over the windows that hold a pixel."""
    height, width = guide.shape
    window = [
        [np.s_[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1] for x in range(width)]
        for y in range(height)
    ]
    lines = np.empty((height, width, 2))
    for y in range(height):
        for x in range(width):
            g, p = (plane_[window[y][x]].astype(np.float64).ravel() for plane_ in (guide, plane))
            design = np.stack([g, np.ones_like(g)], axis=1)
            ridge = np.diag([epsilon * len(g), 0])
            lines[y, x] = np.linalg.solve(design.T @ design + ridge, design.T @ p)
    means = np.array([[lines[window[y][x]].reshape(-1, 2).mean(axis=0) for x in range(width)] for y in range(height)])
    return means[..., 0] * guide + means[..., 1]


@pytest.mark.parametrize(("radius", "epsilon"), [(1, 1e-3), (3, 0.05), (40, 0.01)])
def test_it_is_a_ridge_line_fitted_in_every_window(radius: int, epsilon: float) -> None:
    expected = least_squares(GUIDE, PLANE, radius, epsilon)
    np.testing.assert_allclose(guided_filter(GUIDE, PLANE, radius, epsilon), expected, atol=2e-5)


def test_a_line_of_the_guide_comes_back() -> None:
    np.testing.assert_allclose(guided_filter(GUIDE, 3 * GUIDE - 1, 4, 1e-8), 3 * GUIDE - 1, atol=1e-4)


def test_a_level_guide_leaves_the_mean_of_the_means() -> None:
    """Without edges to follow it is a box filter, twice; over all the picture that is the mean."""
    made = guided_filter(np.full_like(GUIDE, 0.7), PLANE, 50, 1e-3)
    np.testing.assert_allclose(made, PLANE.mean(), atol=1e-6)


def test_an_edge_of_the_guide_stays_sharp_where_a_box_filter_would_smear_it() -> None:
    edge = np.zeros((30, 30), np.float32)
    edge[:, 15:] = 1
    noisy = edge + 0.05 * np.random.default_rng(1).standard_normal(edge.shape).astype(np.float32)
    made = guided_filter(edge, noisy, 4, 1e-3)
    assert np.abs(made - edge).mean() < 0.02
    assert made[:, 15].mean() - made[:, 14].mean() > 0.95
