"""Intervals against scipy, by coverage, and by hand."""

import numpy as np
import pytest
import scipy.stats

from rupantara.metrics.interval import bootstrap_interval, normal_interval, paired_interval, wilson_interval


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


def test_the_bootstrap_is_near_the_normal_interval_and_scipy_s_for_many_rows() -> None:
    rows = np.random.default_rng(0).exponential(2, 400)
    found = bootstrap_interval(rows, seed=1)
    other = scipy.stats.bootstrap((rows,), np.mean, n_resamples=5000, method="percentile", rng=0).confidence_interval
    assert found.value == pytest.approx(rows.mean())
    np.testing.assert_allclose((found.low, found.high), (other.low, other.high), atol=0.1 * (other.high - other.low))


def test_the_same_seed_gives_the_same_interval_whatever_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).normal(size=30)
    first = bootstrap_interval(rows, seed=4)
    assert bootstrap_interval(rows, seed=4) == first != bootstrap_interval(rows, seed=5)
    monkeypatch.setattr("rupantara.metrics.interval.BLOCK", 100)
    assert bootstrap_interval(rows, seed=4) == first


def test_19_of_20_intervals_hold_the_mean() -> None:
    rng = np.random.default_rng(0)
    found = [bootstrap_interval(rng.normal(1, 1, 60), seed=i, draws=400) for i in range(300)]
    assert np.mean([i.low <= 1 <= i.high for i in found]) == pytest.approx(0.94, abs=0.04)


def test_a_paired_interval_does_not_see_what_the_pairs_share() -> None:
    rng = np.random.default_rng(0)
    faces, gain = rng.normal(0, 100, 80), rng.normal(0.5, 0.2, 80)
    found = paired_interval(faces + gain, faces, seed=0)
    alone = bootstrap_interval(gain, seed=0)
    np.testing.assert_allclose((found.value, found.low, found.high), (alone.value, alone.low, alone.high), atol=1e-9)


def test_too_few_or_unpaired_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 rows, got 1"):
        normal_interval(1, 1.0, 1.0)
    with pytest.raises(ValueError, match="at least 2 finite rows"):
        bootstrap_interval(np.array([1.0]), seed=0)
    with pytest.raises(ValueError, match="finite"):
        bootstrap_interval(np.array([1.0, np.nan]), seed=0)
    with pytest.raises(ValueError, match="got 2 and 3"):
        paired_interval(np.zeros(2), np.zeros(3), seed=0)
    for hits, count in ((0, 0), (3, 2), (-1, 2)):
        with pytest.raises(ValueError, match="hits must be"):
            wilson_interval(hits, count)
