"""Bootstrap weights out of hashed ids: the same weight for the same id, whoever computes it and in whatever order.

Owen and Eckles (2012, *Bootstrapping data arrays of arbitrary order*, arXiv 1106.2125, section 4) give every level of every factor
its own independent weight of mean 1 and variance 1 and weigh an observation by the product. Poisson(1) stands for the multinomial
of the ordinary bootstrap, which would have to know all ids at once.
"""

import hashlib
import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""Step of the splitmix64 sequence (Steele et al., 2014)."""

LEVELS = 2**16
"""A draw takes 16 bits, so four come out of one hash; the mean of a weight differs from 1 by less than 1e-4."""


@lru_cache(maxsize=1)
def _poisson_table() -> np.ndarray:
    """Return the Poisson(1) value of each of LEVELS equally likely draws: uint8."""
    cumulative = np.cumsum([math.exp(-1) / math.factorial(k) for k in range(10)])
    return np.searchsorted(cumulative, (np.arange(LEVELS) + 0.5) / LEVELS).astype(np.uint8)


def seeds(ids: Sequence[str], factor: str, seed: int = 0) -> np.ndarray:
    """Return 64 bits of each id's hash: uint64 [n]. `factor` keeps the weights of people and animals independent."""
    key = f"{factor} {seed}".encode()[:64]
    joined = b"".join(hashlib.blake2b(name.encode(), digest_size=8, key=key).digest() for name in ids)
    return np.frombuffer(joined, np.uint64)


def poisson_weights(ids: Sequence[str], replicates: int, factor: str, seed: int = 0) -> np.ndarray:
    """Return each id's Poisson(1) weight in each replicate: uint8 [n, replicates]."""
    hashes = -(-replicates // 4)
    with np.errstate(over="ignore"):
        z = seeds(ids, factor, seed)[:, None] + (np.arange(1, hashes + 1, dtype=np.uint64) * GOLDEN)[None]
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    draws = z.astype("<u8").view("<u2").reshape(len(z), hashes * 4)[:, :replicates]
    return _poisson_table()[draws]


def chosen(ids: Sequence[str], share: float, factor: str, seed: int = 0) -> np.ndarray:
    """Choose about a share of the ids by their hash, the same ones in any partition: bool [n]."""
    return (seeds(ids, factor, seed) >> np.uint64(11)) * 2.0**-53 < share
