"""Sums over faces from which every number of reverse mapping is computed: they add up in any order and any partition."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rupantara.metrics.quantile_sketch import QuantileSketch

MEASURES = ("mean", "best", "percentile_95", "probability", "person_probability")
"""What is measured of a face, a region and a group: the last axis of every array of cells."""

BOOTSTRAPPED = (0, 3)
"""Measures whose intervals are bootstrapped: mean cosine, and the probability."""

ALL = "all"
REPLICATES = 200
COSINE_BINS, PROBABILITY_BINS = 2000, 1000
"""Bins of the sketches: quantiles are within 0.0005 of a cosine and of a probability."""


@dataclass(frozen=True)
class GroupSums:
    """Sums over the faces of one group: cells [regions, groups, measures], and replicates [draws, regions, groups, 2]."""

    count: int
    total: np.ndarray
    squares: np.ndarray
    weight: np.ndarray
    replicates: np.ndarray

    @staticmethod
    def update(cells: np.ndarray, weights: np.ndarray) -> "GroupSums":
        """Sum cells [n, regions, groups, measures], weights [n, draws]."""
        wide = np.nan_to_num(cells.astype(np.float64))
        drawn = wide[..., BOOTSTRAPPED].reshape(len(cells), -1)
        replicates = weights.astype(np.float64).T @ drawn
        shape = (weights.shape[1], *cells.shape[1:3], len(BOOTSTRAPPED))
        return GroupSums(
            len(cells), wide.sum(0), (wide**2).sum(0), weights.sum(0, dtype=np.float64), replicates.reshape(shape)
        )

    def merge(self, other: "GroupSums") -> "GroupSums":
        """Join the sums of two sets of faces."""
        return GroupSums(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))

    @property
    def mean(self) -> np.ndarray:
        """Return the mean of each cell [regions, groups, measures]."""
        return self.total / max(self.count, 1)

    @property
    def deviation(self) -> np.ndarray:
        """Return the standard deviation of each cell over faces; 0 for one face."""
        spread = self.squares - self.total**2 / max(self.count, 1)
        return np.sqrt(np.maximum(spread, 0) / max(self.count - 1, 1))

    def draws(self) -> np.ndarray:
        """Return the bootstrapped means [draws, regions, groups, 2] over faces alone; a draw of no face has the mean."""
        weight = self.weight[:, None, None, None]
        mean = self.mean[..., BOOTSTRAPPED]
        return np.where(weight > 0, self.replicates / np.maximum(weight, 1), mean)


@dataclass(frozen=True)
class AffinitySums:
    """Sums by group of faces; sketches of mean cosine and probability by cell; and sums by member of the reference.

    `scores` [regions, members] sums each member's cosine over all faces, `placements` [regions, members, groups] what
    `nearer.placements` gives over `placed` faces.
    """

    groups: Mapping[str, GroupSums]
    cosines: QuantileSketch
    probabilities: QuantileSketch
    scores: np.ndarray
    placements: np.ndarray
    placed: int = 0

    @staticmethod
    def update(
        cells: np.ndarray,
        weights: np.ndarray,
        members: Mapping[str, np.ndarray],
        scores: np.ndarray,
        placements: np.ndarray,
        placed: int,
    ) -> "AffinitySums":
        """Sum a batch: cells [n, regions, groups, measures], weights [n, draws], `members` masks [n] of groups of faces."""
        groups = {ALL: np.ones(len(cells), bool), **members}
        made = {name: GroupSums.update(cells[mask], weights[mask]) for name, mask in groups.items() if mask.any()}
        flat = cells.reshape(len(cells), cells.shape[1] * cells.shape[2], len(MEASURES))
        cosines = QuantileSketch.update(flat[..., 0], -1, 1, COSINE_BINS)
        probabilities = QuantileSketch.update(flat[..., 3], 0, 1, PROBABILITY_BINS)
        return AffinitySums(made, cosines, probabilities, scores, placements, placed)

    def merge(self, other: "AffinitySums") -> "AffinitySums":
        """Join the sums of two sets of faces."""
        groups = dict(self.groups)
        for name, sums in other.groups.items():
            groups[name] = groups[name].merge(sums) if name in groups else sums
        return AffinitySums(
            groups,
            self.cosines.merge(other.cosines),
            self.probabilities.merge(other.probabilities),
            self.scores + other.scores,
            self.placements + other.placements,
            self.placed + other.placed,
        )

    def arrays(self, space: str) -> dict[str, np.ndarray]:
        """Return all sums as arrays that add up (`storage.statistics`), named after the space."""
        out: dict[str, np.ndarray] = {
            f"{space}|cosines": self.cosines.counts,
            f"{space}|probabilities": self.probabilities.counts,
            f"{space}|scores": self.scores,
            f"{space}|placements": self.placements,
            f"{space}|placed": np.array([self.placed]),
        }
        for group, sums in self.groups.items():
            named = {name: np.atleast_1d(getattr(sums, name)) for name in sums.__dataclass_fields__}
            out |= {f"{space}|group|{name}|{group}": value for name, value in named.items()}
        return out

    @staticmethod
    def from_arrays(arrays: Mapping[str, np.ndarray], space: str) -> "AffinitySums":
        """Take a space's sums out of arrays."""
        head = f"{space}|group|count|"
        groups = {}
        for key in sorted(k for k in arrays if k.startswith(head)):
            group = key[len(head) :]
            count, *others = (arrays[f"{space}|group|{name}|{group}"] for name in GroupSums.__dataclass_fields__)
            groups[group] = GroupSums(int(count[0]), *others)
        sketches = [
            QuantileSketch(low, 1, arrays[f"{space}|{name}"]) for name, low in (("cosines", -1), ("probabilities", 0))
        ]
        members = (arrays[f"{space}|scores"], arrays[f"{space}|placements"])
        return AffinitySums(groups, *sketches, *members, int(arrays[f"{space}|placed"][0]))
