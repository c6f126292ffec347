"""Ridge regression out of sums: the closed form, in any batches; and cut to a rank."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rupantara.training.ridge import RidgeSums


def _rows(seed: int, n: int = 200, dim: int = 6, targets: int = 9) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = (rng.normal(size=(n, dim)) @ rng.normal(size=(dim, dim)) + 3).astype(np.float32)
    y = x @ rng.normal(size=(dim, targets)) + rng.normal(size=targets) + rng.normal(size=(n, targets))
    return x, y.astype(np.float32)


def _sums(x: np.ndarray, y: np.ndarray, size: int = 1000) -> RidgeSums:
    sums = RidgeSums.empty(x.shape[1], y.shape[1])
    for start in range(0, len(x), size):
        sums.update(x[start : start + size], y[start : start + size])
    return sums


@given(st.integers(1, 70), st.sampled_from([0.01, 0.1, 3.0]))
@settings(max_examples=20, deadline=None)
def test_it_is_the_closed_form_of_the_centred_rows_whatever_the_batches(size: int, penalty: float) -> None:
    x, y = _rows(0)
    found = _sums(x, y, size).solve(penalty)
    cx, cy = (v.astype(np.float64) - v.astype(np.float64).mean(0) for v in (x, y))
    covariance = cx.T @ cx / len(x)
    system = covariance + penalty * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    wanted = np.linalg.solve(system, cx.T @ cy / len(x))
    np.testing.assert_allclose(found.coefficients, wanted, atol=2e-4)
    np.testing.assert_allclose(found.predict(x[:3]), y.mean(0) + cx[:3] @ wanted, atol=5e-3)


def test_a_small_penalty_is_itself_where_few_directions_vary_much() -> None:
    rng = np.random.default_rng(2)
    spread = 0.9 ** np.arange(400)
    x = (rng.normal(size=(900, 400)) * spread * 3).astype(np.float32)
    y = (x @ rng.normal(size=(400, 2)) + rng.normal(size=(900, 2))).astype(np.float32)
    cx, cy = (v.astype(np.float64) - v.astype(np.float64).mean(0) for v in (x, y))
    covariance = cx.T @ cx / len(x)
    for penalty in (0.001, 0.003):
        system = covariance + penalty * np.trace(covariance) / 400 * np.eye(400)
        wanted = np.linalg.solve(system, cx.T @ cy / len(x))
        np.testing.assert_allclose(_sums(x, y).solve(penalty).coefficients, wanted, atol=2e-3)


def test_rows_that_do_not_vary_are_predicted_as_their_mean() -> None:
    y = np.arange(6, dtype=np.float32).reshape(3, 2)
    found = _sums(np.ones((3, 4), np.float32), y).solve(0.001).predict(np.full((1, 4), 5.0, np.float32))
    np.testing.assert_allclose(found[0], y.mean(0), atol=1e-3)


def test_deviations_are_numpy_s() -> None:
    x, y = _rows(1)
    np.testing.assert_allclose(_sums(x, y).deviations, x.std(0), rtol=1e-5)


def test_the_penalty_is_the_one_that_predicts_unseen_rows_best() -> None:
    rng = np.random.default_rng(2)
    x, held = (rng.normal(size=(n, 30)).astype(np.float32) for n in (40, 400))
    mix = rng.normal(size=(30, 4)).astype(np.float32)
    y, wanted = x @ mix + 6 * rng.normal(size=(40, 4)).astype(np.float32), held @ mix
    sums = _sums(x, y.astype(np.float32))
    found, penalty = sums.fit(held, wanted, 30, (1e-4, 0.3, 1000.0))
    assert penalty == 0.3
    errors = {p: ((sums.solve(p).predict(held) - wanted) ** 2).mean() for p in (1e-4, 0.3, 1000.0)}
    assert min(errors, key=errors.__getitem__) == 0.3
    predicted = (held - found.mean_vector) @ found.down @ found.up + found.mean_target
    assert ((predicted - wanted) ** 2).mean() == pytest.approx(errors[0.3], rel=1e-3)
    for more in (1.01, 0.99):
        tolerance = more * (errors[1e-4] / errors[0.3] - 1)
        penalty = sums.basis().choose(held, wanted, (1e-4, 0.3, 1000.0), tolerance)
        assert penalty == (1e-4 if more > 1 else 0.3)


def test_without_unseen_rows_no_penalty_can_be_chosen() -> None:
    x, y = _rows(3)
    with pytest.raises(ValueError, match="not added, got none"):
        _sums(x, y).fit(x[:0], y[:0], 6)


def test_a_full_rank_is_the_whole_and_a_lower_one_the_best_of_its_rank() -> None:
    x, y = _rows(3)
    sums = _sums(x, y)
    ridge, basis = sums.solve(0.1), sums.basis()
    whole = basis.reduced(0.1, 6)
    np.testing.assert_allclose(whole.down @ whole.up, ridge.coefficients, atol=2e-4)
    centred = x.astype(np.float64) - x.mean(0, dtype=np.float64)
    np.testing.assert_allclose(basis.predict(x, 0.1), ridge.predict(x), atol=1e-3)
    small = basis.reduced(0.1, 2)
    assert small.down.shape == (6, 2) and small.up.shape == (2, 9)
    # Predictions' best approximation of rank 2 is their singular value decomposition's.
    u, s, v = np.linalg.svd(centred @ ridge.coefficients, full_matrices=False)
    np.testing.assert_allclose(centred @ small.down @ small.up, (u[:, :2] * s[:2]) @ v[:2], atol=1e-3 * s[0])


def test_one_row_is_no_regression() -> None:
    x, y = _rows(4)
    with pytest.raises(ValueError, match="at least 2 rows, got 1"):
        _sums(x[:1], y[:1]).solve(1.0)
