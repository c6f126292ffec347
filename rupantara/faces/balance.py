"""Balanced species: how often each row is shown in one pass, so that every class counts alike."""

from collections.abc import Mapping, Sequence

import numpy as np

from rupantara.storage.draws import draw

__all__ = ["draw", "repeats", "show_times"]


def repeats(counts: Mapping[str, int]) -> dict[str, float]:
    """Return how often a row of each class is shown in a pass: the mean class size over its own."""
    mean = sum(counts.values()) / max(len(counts), 1)
    return {name: mean / count for name, count in counts.items() if count}


def show_times(ids: Sequence[str], classes: Sequence[str], factors: Mapping[str, float], seed: int) -> np.ndarray:
    """Return how many times each row is shown: the whole part of its factor, and one more by a hash of its id.

    Training streams are laid out once, for all epochs: where a factor is below 1 the rows of 0 times are never shown.
    """
    times = np.array([factors[name] for name in classes])
    draws = np.array([draw(i, seed) for i in ids])
    return (np.floor(times) + (draws < times - np.floor(times))).astype(np.int64)
