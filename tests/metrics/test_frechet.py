"""Fréchet distance against scipy's matrix square root, kernel distance against torchmetrics and by hand; laws of merging."""

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.image.fid import _compute_fid
from torchmetrics.image.kid import poly_mmd

from rupantara.metrics.frechet import GaussianStats, frechet_distance, kernel_distance


def rows(n: int, dim: int, seed: int, shift: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, dim)) @ rng.normal(size=(dim, dim)) / dim**0.5 + shift


def distance(a: np.ndarray, b: np.ndarray) -> float:
    return frechet_distance(GaussianStats.update(a), GaussianStats.update(b))


def by_sqrtm(a: np.ndarray, b: np.ndarray) -> float:
    """The formula as published."""
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(first @ second)
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(first + second - 2 * np.real(root)))


def test_it_is_the_published_formula_by_scipy() -> None:
    a, b = rows(300, 24, 0), rows(200, 24, 1, shift=0.3)
    assert distance(a, b) == pytest.approx(by_sqrtm(a, b), rel=1e-8)


@pytest.mark.parametrize("dim", [3, 40, 120])
def test_sets_of_full_rank_agree_with_torchmetrics_and_with_the_singular_values_to_nine_digits(dim: int) -> None:
    """Torchmetrics takes the eigenvalues of the unsymmetric product of the covariances."""
    a, b = rows(4 * dim, dim, 0), rows(5 * dim, dim, 1, shift=0.2)
    moments = [
        torch.from_numpy(np.asarray(x)) for z in (a, b) for x in (z.mean(0), np.cov(z, rowvar=False).reshape(dim, dim))
    ]
    expected = float(_compute_fid(*moments))
    assert distance(a, b) == pytest.approx(expected, rel=1e-9)
    roots = [GaussianStats.update(z).root() for z in (a, b)]
    singular = np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum()
    whole = ((a.mean(0) - b.mean(0)) ** 2).sum() + sum((root**2).sum() for root in roots)
    assert distance(a, b) == pytest.approx(whole - 2 * singular, rel=1e-9)


def test_nearly_singular_sets_keep_their_digits() -> None:
    """Deviations from 1 to 1e-7 on the same axes: the sum over axes of (s1 - s2)²."""
    steps = np.logspace(0, -7, 30)
    turned = np.linalg.qr(np.random.default_rng(0).normal(size=(60, 30)))[0]
    turned = np.linalg.qr(turned - turned.mean(0))[0] * 59**0.5
    a, b = turned * steps, turned * 2 * steps
    assert distance(a, b) == pytest.approx((steps**2).sum(), rel=1e-9)


@pytest.mark.parametrize(("n", "m"), [(20, 30), (20, 300), (2, 2)])
def test_fewer_rows_than_dimensions_are_exact(n: int, m: int) -> None:
    """The eigenvalues of the small Gram matrix say the same without any square root of a singular matrix."""
    a, b = rows(n, 48, 0), rows(m, 48, 1, shift=0.1)
    x, y = ((z - z.mean(0)) / (len(z) - 1) ** 0.5 for z in (a, b))
    values = np.linalg.eigvals(x @ (y.T @ y) @ x.T).real
    shared = np.sqrt(np.maximum(values, 0)).sum()
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + (x**2).sum() + (y**2).sum() - 2 * shared
    # A sum of n roots, one of which is of a rounded zero.
    assert distance(a, b) == pytest.approx(expected, rel=1e-7)


def test_two_normals_of_one_dimension_by_hand() -> None:
    """(m1 - m2)² + (s1 - s2)²: means 0 and 3, deviations 1 and 2 by n - 1."""
    a, b = np.array([[-1.0], [0], [1]]), np.array([[1.0], [3], [5]])
    assert distance(a, b) == pytest.approx(9 + 1, rel=1e-12)


def test_dead_features_change_nothing() -> None:
    a, b = rows(100, 8, 0), rows(90, 8, 1)
    dead_a, dead_b = (np.concatenate([x, np.full((len(x), 3), 2.5)], axis=1) for x in (a, b))
    assert distance(dead_a, dead_b) == pytest.approx(distance(a, b), rel=1e-7)


@pytest.mark.parametrize("n", [10, 100])
def test_a_set_is_at_no_distance_from_itself_and_at_its_shift_from_its_copy(n: int) -> None:
    a = rows(n, 16, 0)
    assert distance(a, a) == pytest.approx(0, abs=1e-9)
    assert distance(a, a + 2.0) == pytest.approx(4 * 16, rel=1e-9)


@pytest.mark.parametrize("n", [12, 200])
def test_it_is_symmetric_and_does_not_see_rotations_or_order(n: int) -> None:
    a, b = rows(n, 16, 0), rows(150, 16, 1, shift=0.5)
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(16, 16)))[0]
    expected = distance(a, b)
    assert distance(b, a) == pytest.approx(expected, rel=1e-9)
    assert distance(a @ turn, b @ turn) == pytest.approx(expected, rel=1e-9)
    assert distance(a[::-1], b) == pytest.approx(expected, rel=1e-9)


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(1, 39), min_size=2, max_size=4, unique=True), dim=st.sampled_from([3, 15, 60]))
def test_merging_is_associative_and_equals_one_pass(cuts: list[int], dim: int) -> None:
    """Also far from 0, where a sum of squares would cancel."""
    whole = rows(40, dim, 0, shift=1e6)
    parts = [GaussianStats.update(part) for part in np.split(whole, sorted(cuts))]
    left, right = parts[0], parts[-1]
    for part in parts[1:]:
        left = left.merge(part)
    for part in parts[-2::-1]:
        right = part.merge(right)
    for found in (left, right):
        assert found.count == 40
        np.testing.assert_allclose(found.mean, whole.mean(0), rtol=1e-12)
        np.testing.assert_allclose(found.covariance(), np.cov(whole, rowvar=False), atol=1e-7)
    other = GaussianStats.update(rows(30, dim, 1, shift=1e6))
    expected = frechet_distance(GaussianStats.update(whole), other)
    assert frechet_distance(left, other) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(right, other) == pytest.approx(expected, rel=1e-6)


def test_many_merged_batches_take_no_more_room_than_the_covariance() -> None:
    stats = GaussianStats.update(rows(4, 8, 0))
    for seed in range(1, 50):
        stats = stats.merge(GaussianStats.update(rows(4, 8, seed)))
    assert stats.spread.size == 0 and stats.scatter is not None and stats.scatter.shape == (8, 8)


def test_too_few_unlike_or_broken_rows_are_refused() -> None:
    good = GaussianStats.update(rows(5, 4, 0))
    with pytest.raises(ValueError, match="at least 2 rows, got 1"):
        frechet_distance(good, GaussianStats.update(rows(1, 4, 0)))
    with pytest.raises(ValueError, match="got 4 and 3 dimensions"):
        frechet_distance(good, GaussianStats.update(rows(5, 3, 0)))
    with pytest.raises(ValueError, match="finite"):
        GaussianStats.update(np.full((2, 3), np.nan))
    with pytest.raises(ValueError, match="at least one"):
        GaussianStats.update(np.empty((0, 3)))
    with pytest.raises(ValueError, match="at least 2 rows, got 1 and 5"):
        kernel_distance(rows(1, 4, 0), rows(5, 4, 0))


def test_the_kernel_distance_is_that_of_torchmetrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rupantara.metrics.frechet.BLOCK", 7)
    a, b = rows(40, 10, 0), rows(40, 10, 1, shift=0.4)
    expected = float(poly_mmd(torch.from_numpy(a), torch.from_numpy(b)))
    assert kernel_distance(a, b) == pytest.approx(expected, rel=1e-10)


def test_the_kernel_distance_of_sets_of_unlike_size_by_hand() -> None:
    """Scalars, (x y + 1)³: within {0, 1}: 1; within {1, 1, 2}: mean of 8, 27, 27; between: 1, 1, 1, 8, 8, 27."""
    found = kernel_distance(np.array([[0.0], [1]]), np.array([[1.0], [1], [2]]))
    assert found == pytest.approx(1 + 62 / 3 - 2 * 46 / 6, rel=1e-12)


def test_the_kernel_distance_is_unbiased_and_the_frechet_distance_is_not() -> None:
    draws = [
        (np.random.default_rng(i).normal(size=(15, 8)), np.random.default_rng(i + 999).normal(size=(15, 8)))
        for i in range(200)
    ]
    kernel = np.array([kernel_distance(a, b) for a, b in draws])
    assert abs(kernel.mean()) < 3 * kernel.std() / len(kernel) ** 0.5
    assert np.mean([distance(a, b) for a, b in draws]) > 1
