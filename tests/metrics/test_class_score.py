"""The score over classes: by hand, and mergeable."""

import numpy as np
import pytest

from rupantara.metrics.class_score import ClassStats


def _rows(n: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).random((n, 10)) ** 4
    return rows / rows.sum(1, keepdims=True)


def test_it_is_the_exponent_of_the_mean_divergence_from_the_mean() -> None:
    rows = _rows(50, 0)
    mean = rows.mean(0)
    wanted = np.exp(np.mean([(p * (np.log(p) - np.log(mean))).sum() for p in rows]))
    assert ClassStats.update(rows).compute() == pytest.approx(wanted)


def test_one_class_each_scores_their_number_and_all_alike_score_one() -> None:
    assert ClassStats.update(np.eye(10)).compute() == pytest.approx(10)
    assert ClassStats.update(np.full((7, 10), 0.1)).compute() == pytest.approx(1)


def test_merged_sums_are_those_of_all_rows() -> None:
    a, b, c = (_rows(n, n) for n in (3, 5, 8))
    stats = [ClassStats.update(rows) for rows in (a, b, c)]
    whole = ClassStats.update(np.concatenate([a, b, c])).compute()
    assert stats[0].merge(stats[1]).merge(stats[2]).compute() == pytest.approx(whole)
    assert stats[2].merge(stats[0].merge(stats[1])).compute() == pytest.approx(whole)
    with pytest.raises(ValueError, match="at least one row"):
        ClassStats.update(np.zeros((0, 10)))
