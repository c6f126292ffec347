"""Balanced species: how often each row is shown in one pass, so that every class counts alike."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np


def repeats(counts: Mapping[str, int]) -> dict[str, float]:
    """Return how often a row of each class is shown in a pass: the mean class size over its own."""
    mean = sum(counts.values()) / max(len(counts), 1)
    return {name: mean / count for name, count in counts.items() if count}


def show_times(ids: Sequence[str], classes: Sequence[str], factors: Mapping[str, float], seed: int) -> np.ndarray:
    """Return how many times each row is shown: the whole part of its factor, and one more by a hash of its id."""
    times = np.array([factors[name] for name in classes])
    digests = [hashlib.blake2b(f"{seed}/{i}".encode(), digest_size=8).digest() for i in ids]
    draws = np.array([int.from_bytes(d, "big") / 2**64 for d in digests])
    return (np.floor(times) + (draws < times - np.floor(times))).astype(np.int64)
