"""The probe against another optimiser and its laws, MMD² against the sums as written, p-values by their distribution."""

import numpy as np
import pytest
import scipy.optimize

from rupantara.metrics.domain_gap import fit_logistic, mmd, probe_accuracy, squared_distances


def two(n: int, m: int, apart: float, seed: int = 0, dim: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    shift = np.zeros(dim)
    shift[0] = apart
    return rng.normal(size=(n, dim)), rng.normal(size=(m, dim)) + shift


def test_the_probe_s_weights_are_those_of_another_optimiser() -> None:
    humans, animals = two(30, 12, 1.0)
    rows, labels = np.concatenate([humans, animals]), np.repeat([0, 1], [30, 12])

    def loss(p: np.ndarray) -> float:
        chance = 1 / (1 + np.exp(-(rows @ p[:6] + p[6])))
        terms = np.where(labels == 1, np.log(chance) * 42 / 24, np.log(1 - chance) * 42 / 60)
        return float(-terms.sum() + 0.5 * (p[:6] ** 2).sum())

    expected = scipy.optimize.minimize(
        loss,
        np.zeros(7),
        method="Nelder-Mead",
        options={"maxiter": 20000, "maxfev": 20000, "xatol": 1e-7, "fatol": 1e-10},
    ).x
    weights, bias = fit_logistic(rows, labels)
    np.testing.assert_allclose(np.append(weights, bias), expected, atol=1e-3)


def test_domains_far_apart_are_told_apart_and_equal_ones_are_not() -> None:
    assert probe_accuracy(*two(60, 40, 12.0), seed=0) == 1
    chance = [probe_accuracy(*two(60, 40, 0.0, seed=i), seed=i) for i in range(20)]
    assert np.mean(chance) == pytest.approx(0.5, abs=0.04)


def test_two_normals_are_told_apart_as_often_as_bayes_would() -> None:
    """Means 2 apart, deviation 1: a line is right with probability Phi(1) = 0.841, for unequal numbers too."""
    assert probe_accuracy(*two(1500, 500, 2.0, dim=2), seed=0) == pytest.approx(0.841, abs=0.025)


def test_scale_shift_and_dead_columns_do_not_change_the_probe() -> None:
    humans, animals = two(50, 50, 1.5)
    expected = probe_accuracy(humans, animals, seed=3)
    assert probe_accuracy(humans * 100 + 7, animals * 100 + 7, seed=3) == expected
    dead = [np.concatenate([x, np.ones((50, 2))], axis=1) for x in (humans, animals)]
    assert probe_accuracy(dead[0], dead[1], seed=3) == expected
    assert probe_accuracy(animals, humans, seed=3) == pytest.approx(expected, abs=0.06)


def test_more_dimensions_than_rows_do_not_lift_the_probe_above_chance() -> None:
    found = [probe_accuracy(*two(20, 20, 0.0, seed=i, dim=100), seed=i) for i in range(20)]
    assert np.mean(found) == pytest.approx(0.5, abs=0.06)


def test_mmd_is_the_sums_as_gretton_writes_them() -> None:
    x, y = two(9, 7, 1.0)
    found = mmd(x, y, seed=0, permutations=0)
    joined = np.concatenate([x, y])
    pairs = [np.linalg.norm(a - b) for i, a in enumerate(joined) for b in joined[:i]]
    assert found.width == pytest.approx(np.median(pairs), rel=1e-9)

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.exp(-((a - b) ** 2).sum() / (2 * found.width**2)))

    within = [
        sum(k(s[i], s[j]) for i in range(len(s)) for j in range(len(s)) if i != j) / (len(s) * (len(s) - 1))
        for s in (x, y)
    ]
    between = sum(k(a, b) for a in x for b in y) / 63
    assert found.squared == pytest.approx(sum(within) - 2 * between, rel=1e-9)
    assert found.p_value == 1


def test_p_values_are_small_for_unlike_sets_and_even_for_like_ones() -> None:
    assert mmd(*two(30, 30, 2.0), seed=0, permutations=199).p_value == 1 / 200
    ps = np.array([mmd(*two(15, 20, 0.0, seed=i), seed=i, permutations=99).p_value for i in range(150)])
    assert scipy.stats.kstest(ps, "uniform").pvalue > 0.01
    assert ps.min() > 0


def test_mmd_does_not_see_scale_rotation_or_which_is_which() -> None:
    x, y = two(20, 25, 0.7)
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(6, 6)))[0]
    first = mmd(x, y, seed=1, permutations=50)
    assert mmd(x @ turn * 5 + 3, y @ turn * 5 + 3, seed=1, permutations=50).squared == pytest.approx(first.squared)
    assert mmd(y, x, seed=1, permutations=50).squared == pytest.approx(first.squared)
    assert mmd(x, y, seed=1, permutations=50) == first


def test_rows_all_the_same_are_no_gap() -> None:
    same = np.ones((10, 4))
    found = mmd(same, same, seed=0, permutations=20)
    assert (found.squared, found.p_value) == (0, 1)
    assert probe_accuracy(same, same, seed=0) == 0.5


def test_squared_distances_are_scipy_s_far_from_0_too() -> None:
    rows = two(20, 1, 0)[0] + 1e5
    expected = scipy.spatial.distance.cdist(rows, rows, "sqeuclidean")
    np.testing.assert_allclose(squared_distances(rows), expected, atol=1e-8)


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 5 rows, got 4 and 9"):
        probe_accuracy(*two(4, 9, 0), seed=0)
    with pytest.raises(ValueError, match="at least 2 rows, got 1 and 9"):
        mmd(*two(1, 9, 0), seed=0)
