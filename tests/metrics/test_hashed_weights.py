"""Bootstrap weights hang on the id alone, are Poisson(1), and people's and animals' are independent."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rupantara.metrics.hashed_weights import chosen, poisson_weights

IDS = [f"{i:08x}-0" for i in range(4000)]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=30), st.integers(1, 29))
def test_any_partition_gives_the_same_weights_to_the_bit(ids: list[str], cut: int) -> None:
    whole = poisson_weights(ids, 9, "face")
    parts = [poisson_weights(part, 9, "face") for part in (ids[:cut], ids[cut:]) if part]
    assert np.concatenate(parts).tobytes() == whole.tobytes()
    assert poisson_weights(ids[::-1], 9, "face")[::-1].tobytes() == whole.tobytes()


def test_weights_are_poisson_of_mean_one() -> None:
    drawn = poisson_weights(IDS, 8, "face")
    counts = np.bincount(drawn.ravel(), minlength=6)[:6]
    expected = stats.poisson(1).pmf(np.arange(6)) * drawn.size
    assert stats.chisquare(counts, expected * counts.sum() / expected.sum()).pvalue > 0.001
    between = np.corrcoef(drawn.T.astype(float))[~np.eye(8, dtype=bool)]
    assert np.abs(between).max() < 4 / np.sqrt(len(IDS))


def test_factors_and_seeds_have_weights_of_their_own() -> None:
    face = poisson_weights(IDS, 4, "face").ravel().astype(float)
    for other in (poisson_weights(IDS, 4, "member"), poisson_weights(IDS, 4, "face", seed=1)):
        assert abs(np.corrcoef(face, other.ravel().astype(float))[0, 1]) < 0.04


def test_a_share_is_chosen_and_larger_shares_hold_smaller_ones() -> None:
    tenth, half = chosen(IDS, 0.1, "placed"), chosen(IDS, 0.5, "placed")
    assert abs(tenth.mean() - 0.1) < 0.02 and not (tenth & ~half).any()
    assert chosen(IDS, 1.0, "placed").all() and not chosen(IDS, 0.0, "placed").any()
