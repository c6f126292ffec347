"""The probability of being nearer equals counting all pairs, with ties, exclusions and people."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rupantara.metrics.nearer import nearer, placements


def _pairs(x: np.ndarray, y: np.ndarray) -> float:
    return float(((x[:, None] > y) + 0.5 * (x[:, None] == y)).mean())


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 10**6),
    st.lists(st.integers(2, 7), min_size=2, max_size=5),
    st.booleans(),
    st.sampled_from([1, 8, 10**6]),
)
def test_it_equals_counting_pairs(seed: int, sizes: list[int], people: bool, levels: int) -> None:
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(len(sizes)), sizes)
    # Few levels make many ties; both signs, and zeros of both.
    similarity = (np.round(rng.uniform(-1, 1, size=(4, len(group))) * levels) / levels).astype(np.float32)
    excluded = rng.integers(-1, len(group), 4)
    found = nearer(similarity, group, len(sizes), excluded, people=people)
    animals = len(sizes) - people
    for q in range(4):
        there = np.arange(len(group)) != excluded[q]
        parts = [similarity[q, there & (group == g)] for g in range(len(sizes))]
        for s in range(animals):
            others = [_pairs(parts[s], parts[t]) for t in range(animals) if t != s]
            np.testing.assert_allclose(found.others[q, s], np.mean(others) if others else np.nan, atol=1e-12)
            if people:
                np.testing.assert_allclose(found.people[q, s], _pairs(parts[s], parts[-1]), atol=1e-12)
        if people:
            mean = np.mean([_pairs(parts[-1], parts[t]) for t in range(animals)])
            np.testing.assert_allclose(found.others[q, -1], mean, atol=1e-12)
    assert people or np.isnan(found.people).all()


def test_hundreds_of_groups_equal_counting_pairs() -> None:
    rng, groups = np.random.default_rng(1), 300
    group = np.repeat(np.arange(groups), 2)
    similarity = np.round(rng.uniform(-1, 1, size=(1, len(group))), 3).astype(np.float32)
    found = nearer(similarity, group, groups, np.array([-1]), people=False)
    parts = [similarity[0, group == g] for g in range(groups)]
    for s in (0, 150, 299):
        others = [_pairs(parts[s], parts[t]) for t in range(groups) if t != s]
        np.testing.assert_allclose(found.others[0, s], np.mean(others), atol=1e-12)


def test_placements_are_shares_below() -> None:
    rng = np.random.default_rng(0)
    group, similarity = np.array([0, 0, 1, 1, 1]), rng.normal(size=(3, 5)).astype(np.float32)
    found = placements(similarity, group, 2)
    for member in range(5):
        for g in range(2):
            rows = similarity[:, group == g]
            below = (rows < similarity[:, member : member + 1]) + 0.5 * (rows == similarity[:, member : member + 1])
            np.testing.assert_allclose(found[member, g], below.mean(1).sum())
