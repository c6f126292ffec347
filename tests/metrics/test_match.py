"""Nearest rows against a flat FAISS index and by hand; ties are misses; merging."""

import faiss
import numpy as np
import pytest
import scipy.stats

from rupantara.metrics.cosine import unit
from rupantara.metrics.match import HitStats, first_hits, species_hits


def codes(n: int, seed: int = 0, regions: int = 3, dim: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, regions, dim)).astype(np.float32)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rupantara.metrics.match.BLOCK", 7)


def nearest(queries: np.ndarray, bank: np.ndarray, k: int) -> np.ndarray:
    index = faiss.IndexFlatIP(bank.shape[1])
    index.add(unit(bank)[0])
    return index.search(unit(queries)[0], k)[1]


def test_a_hit_is_one_s_own_id_first_and_alone_at_its_score() -> None:
    ids = np.array([["a", "b"], ["b", "a"], ["c", "d"], ["d", "c"], ["e", ""]], object)
    scores = np.array([[0.9, 0.8], [0.9, 0.8], [0.7, 0.7], [0.7, 0.7 - 1e-7], [0.1, -np.inf]], np.float32)
    assert first_hits(ids, scores, ["a", "a", "c", "d", "e"]).tolist() == [True, False, False, False, True]


def test_species_are_those_of_the_second_nearest_of_a_flat_index() -> None:
    rows, species = codes(40), np.random.default_rng(3).choice(["cat", "dog", "wolf"], 40)
    rows += 0.6 * (species == "cat")[:, None, None]
    expected = [species[nearest(rows[:, r], rows[:, r], 2)[:, 1]] == species for r in range(3)]
    np.testing.assert_array_equal(species_hits(rows, species.tolist()), np.stack(expected, axis=1))


def test_lengths_of_codes_do_not_matter() -> None:
    rows, names = codes(20), ["cat", "dog"] * 10
    scale = np.random.default_rng(0).uniform(0.1, 10, (20, 1, 1)).astype(np.float32)
    np.testing.assert_array_equal(species_hits(rows, names), species_hits(rows * scale, names))


def test_codes_that_are_all_the_same_match_nothing() -> None:
    same = np.tile(codes(1, dim=128), (30, 1, 1))
    assert not species_hits(same, ["cat", "dog"] * 15).any()


def test_by_hand() -> None:
    """Directions in degrees: cats at 0, 10; dogs at 30, 35; the lone fox at 90."""
    at = np.radians([0, 10, 30, 35, 90])
    rows = np.stack([np.cos(at), np.sin(at)], axis=1)[:, None]
    assert species_hits(rows, ["cat", "cat", "dog", "dog", "fox"])[:, 0].tolist() == [True, True, True, True, False]


def test_merged_counts_are_those_of_one_pass_with_wilson_s_interval() -> None:
    hits = np.random.default_rng(0).random((30, 3)) < (0.2, 0.5, 1.1)
    parts = [HitStats.update(part) for part in np.split(hits, [4, 11])]
    left, right = parts[0].merge(parts[1]).merge(parts[2]), parts[0].merge(parts[1].merge(parts[2]))
    assert left == right == HitStats.update(hits)
    for region, found in enumerate(left.compute()):
        count = int(hits[:, region].sum())
        low, high = scipy.stats.binomtest(count, 30).proportion_ci(0.95, method="wilson")
        np.testing.assert_allclose((found.value, found.low, found.high), (count / 30, low, high), atol=1e-12)
