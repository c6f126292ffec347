"""From sums to statements: means, intervals, rank sets, tests and effect sizes of species by region, and of groups of faces.

Intervals are over faces and over the reference's animals at once: each has its own weights (Owen and Eckles, 2012). The estimate is
linearised in the animals, so a draw is the weighted mean over faces plus what the animals' weights move it by; the interaction of
the two, of order 1 / (faces x animals), is counted twice and not three times, which keeps the intervals a little conservative.
"""

from dataclasses import dataclass

import numpy as np

from rupantara.landmarks.regions import REGIONS
from rupantara.metrics.affinity_sums import ALL, BOOTSTRAPPED, AffinitySums, GroupSums
from rupantara.metrics.hashed_weights import chosen, poisson_weights
from rupantara.metrics.label_permutation import LabelTest, permutation_test
from rupantara.metrics.rank_sets import RankSets, rank_sets

MEMBER = "member"
"""Factor of the bootstrap's weights of the reference's members."""

OVERALL = "overall"
"""The mean over the five regions, as a region of its own: the last row of every array by region."""

ROWS = (*REGIONS, OVERALL)
COSINE, PROBABILITY = 0, 1
"""Places of the bootstrapped measures."""


@dataclass(frozen=True)
class Members:
    """Whom faces were compared with: groups by name (people last, if there), each member's group [members] and id."""

    space: str
    groups: tuple[str, ...]
    people: bool
    ids: tuple[str, ...]
    group: np.ndarray

    @property
    def num_species(self) -> int:
        """Return how many groups there are but people."""
        return len(self.groups) - self.people


@dataclass(frozen=True)
class Ranking:
    """Species by one measure: means and 95 % ends [6, species] (rows as ROWS), and rank sets a row."""

    measure: str
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    ranks: tuple[RankSets, ...]

    def order(self, row: int) -> np.ndarray:
        """Return the species' places, the nearest first."""
        return np.argsort(-self.mean[row], kind="stable")


def with_overall(cells: np.ndarray, axis: int) -> np.ndarray:
    """Append the mean over regions as a sixth row."""
    return np.concatenate([cells, cells.mean(axis, keepdims=True)], axis)


def member_shifts(sums: AffinitySums, members: Members, seed: int = 0) -> np.ndarray:
    """Return how reweighted members move the mean of each cell: [draws, regions, species, 2]."""
    count, species = max(sums.groups[ALL].count, 1), members.num_species
    draws = len(sums.groups[ALL].weight)
    weights = poisson_weights(members.ids, draws, MEMBER, seed).astype(np.float64)
    regions = len(sums.scores)
    cosine, pairs = np.zeros((draws, regions, species)), np.zeros((draws, regions, species, len(members.groups)))
    placed = sums.placements / max(sums.placed, 1)
    for s in range(species):
        at = np.flatnonzero(members.group == s)
        weight = weights[at] - weights[at].sum(0) / len(at)
        total = np.maximum(weights[at].sum(0), 1)
        cosine[:, :, s] = (sums.scores[:, at] / count @ weight / total).T
        pairs[:, :, s] = np.einsum("rmg,md->drg", placed[:, at], weight / total)
    between = pairs[..., :species]
    off = ~np.eye(species, dtype=bool)
    moved = np.where(off, between - between.swapaxes(2, 3), 0).sum(3) / max(species - 1, 1)
    return np.stack([cosine, moved], axis=-1)


def draws_of(group: GroupSums, shifts: np.ndarray) -> np.ndarray:
    """Return bootstrapped means over faces and members at once [draws, 6, species, 2]."""
    species = shifts.shape[2]
    return with_overall(group.draws()[:, :, :species] + shifts, 1)


def rank(sums: AffinitySums, members: Members, measure: int, group: str = ALL, alpha: float = 0.05) -> Ranking:
    """Rank species by mean cosine or by probability (COSINE or PROBABILITY) over the faces of a group."""
    faces, species = sums.groups[group], members.num_species
    mean = with_overall(faces.mean[:, :species, BOOTSTRAPPED[measure]], 0)
    drawn = draws_of(faces, member_shifts(sums, members))[..., measure]
    low, high = interval(mean, drawn, alpha)
    sets = tuple(rank_sets(mean[i], drawn[:, i], alpha) for i in range(len(ROWS)))
    return Ranking(("mean cosine", "probability")[measure], mean, low, high, sets)


def interval(mean: np.ndarray, drawn: np.ndarray, alpha: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the bootstrap interval about a mean: the draws' quantiles about their own centre (first axis = draws)."""
    apart = drawn - drawn.mean(0)
    return mean + np.quantile(apart, alpha / 2, axis=0), mean + np.quantile(apart, 1 - alpha / 2, axis=0)


def label_test(sums: AffinitySums, members: Members, draws: int = 999, seed: int = 0) -> LabelTest:
    """Shuffle the species labels of the reference's animals: is any species nearer, or less near, than its label would be by chance?

    Rows as ROWS: an animal's score is its mean cosine to all faces.
    """
    at = members.group < members.num_species
    scores = with_overall(sums.scores[:, at] / max(sums.groups[ALL].count, 1), 0)
    return permutation_test(scores, members.group[at], members.num_species, np.random.default_rng(seed), draws)


@dataclass(frozen=True)
class Difference:
    """How much nearer group `first` of faces is than `second` [6, species] by probability, interval, corrected p, effect size."""

    first: str
    second: str
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p_values: np.ndarray
    effects: np.ndarray


def compare_groups(sums: AffinitySums, members: Members, first: str, second: str, alpha: float = 0.05) -> Difference:
    """Compare two groups of faces region by region; p-values hold for all regions and species together (max-T, two-sided).

    Both are compared with the same animals, whose weights cancel but for their interaction. The effect size is Cohen's d over faces.
    """
    a, b, species = sums.groups[first], sums.groups[second], members.num_species
    column = BOOTSTRAPPED[PROBABILITY]
    mean = with_overall((a.mean - b.mean)[:, :species, column], 0)
    drawn = with_overall((a.draws() - b.draws())[:, :, :species, PROBABILITY], 1)
    low, high = interval(mean, drawn, alpha)
    spread = np.maximum(drawn.std(0, ddof=1), 1e-15)
    null = np.abs((drawn - drawn.mean(0)) / spread).reshape(len(drawn), -1).max(1)
    observed = np.abs(mean / spread)
    p_values = (1 + (null[:, None, None] >= observed).sum(0)) / (1 + len(null))
    pooled = np.sqrt((a.deviation**2 + b.deviation**2) / 2)[:, :species, column]
    effects = (a.mean - b.mean)[:, :species, column] / np.maximum(pooled, 1e-15)
    return Difference(first, second, mean, low, high, p_values, with_overall(effects, 0))


def halves(sums: AffinitySums, members: Members, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return species' mean cosines over regions by two halves of the bank, dealt by hash: [species] each."""
    scores = sums.scores.mean(0) / max(sums.groups[ALL].count, 1)
    side = chosen(members.ids, 0.5, "half", seed)
    out = []
    for half in (side, ~side):
        of = [half & (members.group == s) for s in range(members.num_species)]
        out.append(np.array([scores[at].mean() if at.any() else np.nan for at in of]))
    return out[0], out[1]


def holding(rankings: dict[str, Ranking], row: int, alpha: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    """Return which orderings hold in every space, and in some but not all: bool [species, species], [i, j] = "i is nearer than j"."""
    exceeds = np.stack([r.ranks[row].p_values <= alpha for r in rankings.values()])
    every = np.asarray(exceeds.all(0))
    return every, np.asarray(exceeds.any(0)) & ~every
