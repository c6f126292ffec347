"""The table of errors, worked by hand."""

import numpy as np
import pytest

from rupantara.reports.enhanced import interval, table


def test_changes_are_each_picture_s_own() -> None:
    """Pictures of 0.1 and 0.3 that both gain 0.02: the means are uncertain, the change is not."""
    mse = np.array([[0.1, 0.12], [0.3, 0.32]])
    measured = np.stack([mse, 20 + mse, 0.5 + mse], axis=2)
    rows = table(["input", "tone"], measured).rows
    assert rows[0] == ["input", 2, "0.20000 ± 0.19600", "", "", "20.20", "0.700"]
    assert rows[1] == ["tone", 2, "0.22000 ± 0.19600", "+0.02000 ± 0.00000", "0 %", "20.22", "0.720"]


def test_the_interval_holds_the_mean_in_19_of_20_samples() -> None:
    samples = np.random.default_rng(0).normal(3, 2, (4000, 50))
    inside = [abs(sample.mean() - 3) <= interval(sample) for sample in samples]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.015)
    assert interval(np.array([1.0])) == 0
