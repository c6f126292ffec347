"""Spaces in which region features are compared; each has a name, and a sentence that says what its numbers mean.

A space is an affine map a region: centre, scale, and for `within` a matrix. Cosines are taken after it.
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rupantara.bank.alignment import ANIMAL, HUMAN
from rupantara.errors import UserError
from rupantara.landmarks.regions import REGIONS
from rupantara.metrics.cosine import unit
from rupantara.metrics.steady import product
from rupantara.types import Vectors

MEANINGS = {
    "raw": (
        "Cosine of the features as the network gives them: it is high for any two faces, because what all regions of its kind share"
        " is in it; the order of species counts, not the height."
    ),
    "pooled": (
        "Cosine after one common centre of people and animals is taken out: above 0 means that two regions lie on the same side of"
        " the average face of both."
    ),
    "within": (
        "Cosine after directions in which animals of one species differ among themselves are damped: what is left is mostly what"
        " tells species apart."
    ),
    "aligned": (
        "Cosine after each domain's own mean and spread are taken out: it compares how one individual differs from its kind; every"
        " population's mean is 0 by construction, so it must not rank populations."
    ),
}
"""What a number in each space means: the one table that reports and documents quote."""

RANKING = ("raw", "pooled", "within")
"""Spaces that may rank populations."""

DEFAULT = "pooled"
SHRINK = 0.5
"""Share of the mean variance in the within-class covariance: half, as in the probe of issue 25."""

LEAST_STD = 1e-3


@dataclass(frozen=True)
class Space:
    """Centre and scale of each domain [5, dim], and one matrix [5, dim, out] or None; regions in the order of REGIONS."""

    name: str
    centre: Mapping[str, np.ndarray]
    scale: Mapping[str, np.ndarray]
    matrix: np.ndarray | None = None

    def units(self, codes: Vectors, domain: str, region: str = "") -> Vectors:
        """Bring codes [n, 5, dim], or one region's [n, dim], into the space, at unit length."""
        at = REGIONS.index(region) if region else slice(None)
        moved = (codes.astype(np.float32) - self.centre[domain][at]) * self.scale[domain][at]
        if self.matrix is not None:
            regions = [REGIONS.index(region)] if region else range(len(REGIONS))
            parts = [moved] if region else [moved[:, r] for r in regions]
            whitened = [product(part, self.matrix[r]) for part, r in zip(parts, regions, strict=True)]
            moved = whitened[0] if region else np.stack(whitened, axis=1)
        return unit(moved)[0]


def meaning(name: str) -> str:
    """Return the sentence of a space; UserError for a name that there is not."""
    if name not in MEANINGS:
        raise UserError(f"space must be one of {', '.join(MEANINGS)}, got {name!r}")
    return MEANINGS[name]


@dataclass
class SpaceSums:
    """Sums over the codes of one species, or of people, float64: mergeable."""

    count: int
    total: np.ndarray
    scatter: np.ndarray

    @staticmethod
    def update(codes: Vectors) -> "SpaceSums":
        """Sum codes [n, 5, dim]: total [5, dim], scatter about 0 [5, dim, dim]."""
        wide = codes.astype(np.float64).transpose(1, 0, 2)
        return SpaceSums(codes.shape[0], wide.sum(1), wide.transpose(0, 2, 1) @ wide)

    def merge(self, other: "SpaceSums") -> "SpaceSums":
        """Join the sums of two sets of codes."""
        return SpaceSums(self.count + other.count, self.total + other.total, self.scatter + other.scatter)

    @property
    def mean(self) -> np.ndarray:
        """Return the mean code [5, dim]."""
        return self.total / self.count

    def covariance(self) -> np.ndarray:
        """Return the covariance [5, dim, dim]."""
        return self.scatter / self.count - self.mean[:, :, None] * self.mean[:, None, :]


@dataclass(frozen=True)
class Spaces:
    """What all spaces are made of: means of the domains, their deviations, and the whitening of differences within species."""

    human_mean: np.ndarray
    animal_mean: np.ndarray
    human_std: np.ndarray
    animal_std: np.ndarray
    whitening: np.ndarray

    def space(self, name: str) -> Space:
        """Make a space by its name."""
        meaning(name)
        ones = np.ones_like(self.animal_mean)
        both = (self.human_mean + self.animal_mean) / 2
        if name == "aligned":
            centre = {HUMAN: self.human_mean, ANIMAL: self.animal_mean}
            return Space(name, centre, {HUMAN: 1 / self.human_std, ANIMAL: 1 / self.animal_std})
        middle = np.zeros_like(both) if name == "raw" else both
        matrix = self.whitening if name == "within" else None
        return Space(name, {HUMAN: middle, ANIMAL: middle}, {HUMAN: ones, ANIMAL: ones}, matrix)

    def to_bytes(self) -> bytes:
        """Encode as npz, float32."""
        sink = io.BytesIO()
        np.savez(sink, **{name: getattr(self, name).astype(np.float32) for name in _NAMES})
        return sink.getvalue()

    @staticmethod
    def from_bytes(data: bytes) -> "Spaces":
        """Decode what `to_bytes` gave."""
        found = np.load(io.BytesIO(data), allow_pickle=False)
        return Spaces(*(found[name] for name in _NAMES))


_NAMES = ("human_mean", "animal_mean", "human_std", "animal_std", "whitening")


def sums_by_species(groups: Iterable[tuple[str, Vectors]]) -> dict[str, SpaceSums]:
    """Sum (species, codes [n, 5, dim]) groups, people being one species."""
    out: dict[str, SpaceSums] = {}
    for species, codes in groups:
        if len(codes):
            made = SpaceSums.update(codes)
            out[species] = out[species].merge(made) if species in out else made
    return out


def fit(sums: Mapping[str, SpaceSums]) -> Spaces:
    """Fit the spaces; every animal species counts alike. Without people the animals' own moments stand for theirs.

    Raise UserError when there are fewer than two animals.
    """
    animals: Sequence[SpaceSums] = [s for name, s in sorted(sums.items()) if name != HUMAN]
    if sum(s.count for s in animals) < 2:
        raise UserError(f"spaces need at least 2 animals, got {sum(s.count for s in animals)}")
    animal_mean, animal_std = _moments(animals)
    people = [sums[HUMAN]] if HUMAN in sums and sums[HUMAN].count > 1 else animals
    human_mean, human_std = _moments(people)
    inside = np.mean([s.covariance() for s in animals], axis=0)
    return Spaces(human_mean, animal_mean, human_std, animal_std, np.stack([_whitening(c) for c in inside]))


def _moments(groups: Sequence[SpaceSums]) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of the groups' means, and the deviation of all about it, groups counting alike."""
    mean = np.mean([g.mean for g in groups], axis=0)
    squares = np.mean([np.diagonal(g.scatter, axis1=1, axis2=2) / g.count for g in groups], axis=0)
    return mean, np.sqrt(np.maximum(squares - mean**2, LEAST_STD**2))


def _whitening(covariance: np.ndarray) -> np.ndarray:
    """Return the inverse root of a covariance [dim, dim] shrunk half-way to its mean variance."""
    dim = len(covariance)
    shrunk = (1 - SHRINK) * covariance + SHRINK * np.trace(covariance) / dim * np.eye(dim)
    values, vectors = np.linalg.eigh(shrunk)
    return (vectors / np.sqrt(np.maximum(values, 1e-12))) @ vectors.T
