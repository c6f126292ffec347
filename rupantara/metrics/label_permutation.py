"""Would other labels have done as well? Species labels of animals are shuffled, and the greatest lead of each shuffle is kept.

The hypothesis: an animal's mean nearness does not depend on its species. Westfall and Young (1993), max-T: the p-values hold for
all regions and species together.
"""

from dataclasses import dataclass

import numpy as np

from rupantara.metrics.rank_sets import stepdown


@dataclass(frozen=True)
class LabelTest:
    """Leads of each group over the mean of the others [regions, groups], their sizes d, and p-values, single and corrected.

    `overall` is the p-value of the greatest of all: "some group differs in some region".
    """

    leads: np.ndarray
    effects: np.ndarray
    p_values: np.ndarray
    corrected: np.ndarray
    overall: float


def leads(scores: np.ndarray, labels: np.ndarray, groups: int) -> np.ndarray:
    """Return each group's mean over the mean of the other groups' means [regions, groups]; groups count alike."""
    means = group_means(scores, labels, groups)
    return (means - means.mean(1, keepdims=True)) * (groups / max(groups - 1, 1))


def group_means(scores: np.ndarray, labels: np.ndarray, groups: int) -> np.ndarray:
    """Return the mean score of each group [regions, groups] out of scores [regions, members]."""
    hot = np.zeros((len(labels), groups))
    hot[np.arange(len(labels)), labels] = 1
    return scores @ (hot / np.maximum(hot.sum(0), 1))


def cohens_d(scores: np.ndarray, labels: np.ndarray, groups: int) -> np.ndarray:
    """Return each lead in units of the members' deviation within groups [regions, groups] (Cohen, 1988)."""
    means = group_means(scores, labels, groups)
    inside = scores - means[:, labels]
    freedom = max(scores.shape[1] - groups, 1)
    deviation = np.sqrt((inside**2).sum(1, keepdims=True) / freedom)
    return leads(scores, labels, groups) / np.maximum(deviation, 1e-15)


def permutation_test(
    scores: np.ndarray, labels: np.ndarray, groups: int, rng: np.random.Generator, draws: int = 999
) -> LabelTest:
    """Test scores [regions, members] of labelled members by shuffling the labels, alike in all regions; two-sided."""
    found = leads(scores, labels, groups)
    null = np.stack([leads(scores, rng.permutation(labels), groups) for _ in range(draws)])
    spread = np.maximum(null.std(0), 1e-15)
    observed, drawn = np.abs(found / spread), np.abs(null / spread)
    single = (1 + (drawn >= observed).sum(0)) / (1 + draws)
    corrected = stepdown(observed.ravel(), drawn.reshape(draws, -1)).reshape(found.shape)
    overall = (1 + int((drawn.max((1, 2)) >= observed.max()).sum())) / (1 + draws)
    return LabelTest(found, cohens_d(scores, labels, groups), single, corrected, float(overall))
