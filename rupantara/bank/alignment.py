"""One space for both domains: region codes are compared after each domain's own mean and spread are taken out.

Human and animal codes come from one encoder, but lie apart: a cosine between raw codes mostly says "photograph of a human".
Centred and scaled by its own domain, a code says how this nose differs from a typical nose of its kind, which is what a
cosine between a human's and a fox's can compare. Decoders always see raw codes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rupantara.landmarks.regions import REGIONS
from rupantara.types import Vectors

HUMAN, ANIMAL = "human", "animal"
LEAST_STD = 1e-3
"""A dimension that hardly varies is not blown up."""


@dataclass(frozen=True)
class Alignment:
    """Mean and standard deviation of the codes of each domain: float32 [5, dim], regions in the order of REGIONS."""

    mean: Mapping[str, np.ndarray]
    std: Mapping[str, np.ndarray]

    @staticmethod
    def identity(dim: int) -> "Alignment":
        """Return the alignment that changes nothing."""
        zero, one = np.zeros((len(REGIONS), dim), np.float32), np.ones((len(REGIONS), dim), np.float32)
        return Alignment({HUMAN: zero, ANIMAL: zero}, {HUMAN: one, ANIMAL: one})

    def align(self, codes: Vectors, domain: str, region: str = "") -> Vectors:
        """Centre and scale codes [n, 5, dim], or one region's [n, dim]."""
        at = REGIONS.index(region) if region else slice(None)
        return ((codes - self.mean[domain][at]) / self.std[domain][at]).astype(np.float32)

    def restore(self, aligned: Vectors, domain: str, region: str) -> Vectors:
        """Undo `align` for one region: [..., dim]."""
        at = REGIONS.index(region)
        return (aligned * self.std[domain][at] + self.mean[domain][at]).astype(np.float32)

    def as_json(self) -> dict[str, Any]:
        """Return what a manifest keeps."""
        return {d: {"mean": self.mean[d].tolist(), "std": self.std[d].tolist()} for d in (HUMAN, ANIMAL)}

    @staticmethod
    def from_json(stored: Mapping[str, Any]) -> "Alignment":
        """Read what `as_json` gave."""
        mean, std = ({d: np.array(stored[d][k], np.float32) for d in (HUMAN, ANIMAL)} for k in ("mean", "std"))
        return Alignment(mean, std)


@dataclass
class CodeSums:
    """Sums over the codes of one group, float64."""

    count: int
    total: np.ndarray
    squares: np.ndarray

    @staticmethod
    def of(codes: Vectors) -> "CodeSums":
        """Sum codes [n, 5, dim]."""
        wide = codes.astype(np.float64)
        return CodeSums(len(codes), wide.sum(0), (wide**2).sum(0))

    def add(self, other: "CodeSums") -> "CodeSums":
        """Return the sums over both groups."""
        return CodeSums(self.count + other.count, self.total + other.total, self.squares + other.squares)


def fit(groups: Iterable[tuple[str, Vectors]], *, pooled: bool = False) -> Alignment | None:
    """Fit on (species, codes [n, 5, dim]) groups, humans being one species; None when a domain has fewer than two codes.

    Every animal species counts alike, however many faces it has. With `pooled` both domains have one mean, half-way between
    theirs, and no spread is taken out.
    """
    sums: dict[str, CodeSums] = {}
    for species, every in groups:
        # One code that is not finite would make the mean of its domain so, and with it every vector of the bank.
        codes = every[np.isfinite(every).all((1, 2))]
        if len(codes):
            sums[species] = sums[species].add(CodeSums.of(codes)) if species in sums else CodeSums.of(codes)
    mean, std = {}, {}
    for domain in (HUMAN, ANIMAL):
        chosen = [m for name, m in sums.items() if (name == HUMAN) == (domain == HUMAN)]
        if sum(m.count for m in chosen) < 2:
            return None
        mean[domain] = np.mean([m.total / m.count for m in chosen], axis=0)
        squares = np.mean([m.squares / m.count for m in chosen], axis=0)
        std[domain] = np.sqrt(np.maximum(squares - mean[domain] ** 2, LEAST_STD**2))
    if pooled:
        middle = (mean[HUMAN] + mean[ANIMAL]) / 2
        mean, std = dict.fromkeys(mean, middle), dict.fromkeys(std, np.ones_like(middle))
    as_float = [{d: v.astype(np.float32) for d, v in part.items()} for part in (mean, std)]
    return Alignment(*as_float)
