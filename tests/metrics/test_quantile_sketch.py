"""Sketches add up in any order, and their quantiles are as near as they say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rupantara.metrics.quantile_sketch import QuantileSketch


@settings(deadline=None)
@given(
    st.integers(0, 1000), st.lists(st.integers(0, 400), max_size=4), st.sampled_from([0.0, 0.05, 0.25, 0.5, 0.95, 1.0])
)
def test_quantiles_of_any_partition_are_within_the_stated_error(seed: int, cuts: list[int], share: float) -> None:
    values = np.random.default_rng(seed).beta(2, 5, size=(400, 2)) * 2 - 1
    parts = [p for p in np.split(values, sorted(cuts)) if len(p)]
    sketch = QuantileSketch.update(parts[0], -1, 1, 500)
    for part in parts[1:]:
        sketch = QuantileSketch.update(part, -1, 1, 500).merge(sketch)
    assert sketch.counts.tobytes() == QuantileSketch.update(values, -1, 1, 500).counts.tobytes()
    exact = np.quantile(values, share, axis=0, method="inverted_cdf")
    assert np.abs(sketch.compute(share) - exact).max() <= sketch.error + 1e-12


def test_nothing_has_no_quantile_and_other_bins_do_not_mix() -> None:
    empty = QuantileSketch.update(np.full((3, 1), np.nan), 0, 1, 10)
    assert np.isnan(empty.compute(0.5)).all()
    with pytest.raises(ValueError, match="same bins"):
        empty.merge(QuantileSketch.update(np.zeros((1, 1)), 0, 1, 20))
