"""Confidence sets for ranks: "the fox is first to third" (Mogstad, Romano, Shaikh and Wilhelm, 2023, *Inference for ranks*).

A population's rank is 1 + the number of populations that are truly greater. All differences are tested at once by the stepdown
method of Romano and Wolf (2005), so that with probability 1 - alpha every set holds its population's true rank.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RankSets:
    """Least and greatest rank that each population may have (1 = greatest value), and p-values of "i exceeds j" [p, p]."""

    least: np.ndarray
    greatest: np.ndarray
    p_values: np.ndarray


def rank_sets(values: np.ndarray, replicates: np.ndarray, alpha: float = 0.05) -> RankSets:
    """Return simultaneous rank sets of values [p] from their bootstrap replicates [draws, p].

    `p_values[i, j]` is the stepdown p-value of the hypothesis that i does not exceed j; 1 on the diagonal.
    """
    p = len(values)
    if replicates.ndim != 2 or replicates.shape[1] != p:
        raise ValueError(f"replicates must be [draws, {p}], got {list(replicates.shape)}")
    first, second = np.nonzero(~np.eye(p, dtype=bool))
    ahead = values[first] - values[second]
    drawn = replicates[:, first] - replicates[:, second]
    drawn = drawn - drawn.mean(0)
    spread = np.maximum(drawn.std(0, ddof=1), 1e-15)
    adjusted = stepdown(ahead / spread, drawn / spread)
    p_values = np.ones((p, p))
    p_values[first, second] = adjusted
    exceeds = p_values <= alpha
    return RankSets(1 + exceeds.sum(0), p - exceeds.sum(1), p_values)


def stepdown(statistics: np.ndarray, null: np.ndarray) -> np.ndarray:
    """Return p-values [m] of one-sided statistics [m], corrected for all by the greatest of draws under the null [draws, m].

    Romano and Wolf (2016, *Efficient computation of adjusted p-values*): the greatest statistic is compared with the greatest of all
    draws, the next with the greatest over what is left, and no p-value is less than the one before.
    """
    order = np.argsort(-statistics, kind="stable")
    # Of the columns from a place on, in the order of the statistics, the greatest of each draw.
    left = np.maximum.accumulate(null[:, order[::-1]], axis=1)[:, ::-1]
    over = (left >= statistics[order]).sum(0)
    ordered = np.maximum.accumulate((1 + over) / (1 + len(null)))
    out = np.empty(len(statistics))
    out[order] = ordered
    return out
