"""Landmark errors by hand."""

import numpy as np
import pytest

from rupantara.metrics.landmarks import landmark_errors


def _true() -> np.ndarray:
    points = np.random.default_rng(0).uniform(0, 200, (2, 68, 2))
    points[:, 36], points[:, 45] = (60.0, 90.0), (140.0, 90.0)
    return points


def test_one_shifted_point_by_hand() -> None:
    true = _true()
    found = true.copy()
    found[1, 8] += (3.0, 4.0)
    errors = landmark_errors(found, true)
    assert errors.squared.shape == (2, 68)
    assert errors.squared[1, 8] == pytest.approx((9 + 16) / 2)
    # Equation 1: a mean over 136 numbers. The eyes' outer corners are 80 px apart.
    assert errors.squared[1].mean() == pytest.approx(25 / 136)
    assert errors.nme[1] == pytest.approx(5 / 68 / 80)
    assert errors.squared[0].max() == errors.nme[0] == 0


def test_the_paper_s_example_of_a_concentrated_error() -> None:
    true = _true()
    found = true.copy()
    found[0, 0, 0] += 40
    assert landmark_errors(found, true).squared[0].mean() == pytest.approx(11.76, abs=0.01)


def test_eyes_in_one_place_have_no_scale() -> None:
    true = _true()
    true[0, 36] = true[0, 45]
    with pytest.raises(ValueError, match="two points"):
        landmark_errors(true, true)
