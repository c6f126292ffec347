"""Intervals against scipy, and by hand."""

import numpy as np
import pytest
import scipy.stats

from rupantara.metrics.interval import normal_interval, wilson_interval


@pytest.mark.parametrize(("hits", "count"), [(0, 7), (7, 7), (3, 10), (499, 1000)])
def test_wilson_is_scipy_s(hits: int, count: int) -> None:
    expected = scipy.stats.binomtest(hits, count).proportion_ci(0.95, method="wilson")
    found = wilson_interval(hits, count)
    np.testing.assert_allclose((found.value, found.low, found.high), (hits / count, *expected), atol=1e-12)


def test_the_normal_interval_is_scipy_s() -> None:
    rows = np.random.default_rng(0).normal(3, 2, 50)
    found = normal_interval(50, rows.sum(), (rows**2).sum())
    expected = scipy.stats.norm.interval(0.95, rows.mean(), scipy.stats.sem(rows))
    np.testing.assert_allclose((found.low, found.high), expected, rtol=1e-10)


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 rows, got 1"):
        normal_interval(1, 1.0, 1.0)
    for hits, count in ((0, 0), (3, 2), (-1, 2)):
        with pytest.raises(ValueError, match="hits must be"):
            wilson_interval(hits, count)
