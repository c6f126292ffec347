"""Shuffled labels give uniform p-values; a species that differs is found and named."""

import numpy as np
from scipy import stats

from rupantara.metrics.holm import holm
from rupantara.metrics.label_permutation import permutation_test


def test_p_values_are_uniform_where_labels_say_nothing() -> None:
    rng = np.random.default_rng(0)
    sizes, found, first = [20, 8, 30, 12], [], []
    labels = np.repeat(np.arange(4), sizes)
    for _ in range(200):
        scores = rng.gamma(2.0, size=(2, 70))
        test = permutation_test(scores, rng.permutation(labels), 4, rng, draws=199)
        found.append(test.overall)
        first.append(test.p_values[0, 0])
    for p in (found, first):
        assert stats.kstest(np.array(p) - rng.random(200) / 200, "uniform").pvalue > 0.01


def test_a_species_that_differs_is_named_and_others_are_not() -> None:
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(4), 30)
    scores = rng.normal(size=(3, 120))
    scores[1, labels == 2] += 1.5
    test = permutation_test(scores, labels, 4, rng)
    at = np.unravel_index(np.argmax(test.effects), test.effects.shape)
    assert at == (1, 2) and test.corrected[at] < 0.01 and test.overall < 0.01
    assert 1.0 < test.effects[at] < 2.2
    assert test.corrected[0].min() > 0.05 and test.corrected[2].min() > 0.05
    assert (test.corrected >= test.p_values - 1e-12).all()


def test_groups_count_alike_whatever_their_numbers() -> None:
    rng = np.random.default_rng(2)
    labels = np.array([0] * 2 + [1] * 2 + [2] * 50)
    test = permutation_test(np.array([[1.0, 1, 0, 0, *[2.0] * 50]]), labels, 3, rng, draws=19)
    np.testing.assert_allclose(test.leads, [[0.0, -1.5, 1.5]], atol=1e-12)


def test_holm_as_worked_by_hand() -> None:
    np.testing.assert_allclose(holm(np.array([[0.01, 0.04], [0.03, 0.5]])), [[0.04, 0.09], [0.09, 0.5]])
