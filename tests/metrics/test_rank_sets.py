"""Rank sets hold the true ranks, and shrink as the evidence grows."""

import numpy as np

from rupantara.metrics.rank_sets import rank_sets, stepdown


def _drawn(rng: np.random.Generator, truth: np.ndarray, faces: int) -> tuple[np.ndarray, np.ndarray]:
    data = truth + rng.normal(size=(faces, len(truth)))
    weights = rng.poisson(1.0, size=(400, faces))
    return data.mean(0), weights @ data / weights.sum(1, keepdims=True)


def test_clear_populations_have_one_rank_and_equal_ones_share_theirs() -> None:
    rng = np.random.default_rng(0)
    found = rank_sets(*_drawn(rng, np.array([3.0, 0.0, 0.0, -3.0]), 400))
    assert (found.least[[0, 3]] == [1, 4]).all() and (found.greatest[[0, 3]] == [1, 4]).all()
    assert (found.least[1:3] == 2).all() and (found.greatest[1:3] == 3).all()


def test_all_true_ranks_are_held_at_least_as_often_as_promised() -> None:
    rng = np.random.default_rng(1)
    truth = np.array([0.3, 0.25, 0.0, 0.0, -0.1])
    least = np.array([1, 2, 3, 3, 5])
    greatest = np.array([1, 2, 4, 4, 5])
    held = 0
    for _ in range(200):
        found = rank_sets(*_drawn(rng, truth, 150))
        held += bool(((found.least <= least) & (found.greatest >= greatest)).all())
    assert held >= 0.91 * 200


def test_stepdown_is_between_the_greatest_and_the_single_p_values() -> None:
    rng = np.random.default_rng(2)
    null, found = rng.normal(size=(2000, 5)), np.array([4.0, 2.6, 2.2, 0.0, -1.0])
    p = stepdown(found, null)
    single = (1 + (null >= found).sum(0)) / 2001
    greatest = (1 + (null.max(1)[:, None] >= found).sum(0)) / 2001
    assert (p >= single).all() and (p <= np.maximum.accumulate(greatest)).all()
    assert p[0] == greatest[0] and (np.diff(p) >= 0).all() and p[2] < greatest[2]
