"""How far apart two domains' codes lie: can a line tell them apart, and does a kernel test.

Both numbers are about the rows given, one region at a time. Rows should be independent (one a person): a person on both sides of
a fold lifts the probe.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import minimize
from scipy.special import expit

Rows = Float[np.ndarray, "rows dim"]
Others = Float[np.ndarray, "others dim"]

RIDGE = 1.0
"""Penalty RIDGE / 2 ||w||² against the class-weighted log loss summed over rows, scikit-learn's default C = 1."""

MEDIAN_ROWS = 1000
"""Rows, drawn by the seed, that the median heuristic looks at."""

PERMUTED = 64
"""Permutations computed at a time."""


def probe_accuracy(humans: Rows, animals: Others, seed: int, folds: int = 5) -> float:
    """Return a linear probe's balanced accuracy on rows it did not see: 0.5 = told apart by chance, 1 = perfectly.

    Logistic regression on standardised columns, classes weighted equally, k folds stratified by class and drawn by the seed.
    """
    if min(len(humans), len(animals)) < folds:
        raise ValueError(f"each domain must have at least {folds} rows, got {len(humans)} and {len(animals)}")
    rows = np.concatenate([humans, animals]).astype(np.float64)
    labels = np.repeat([0, 1], [len(humans), len(animals)])
    rng = np.random.default_rng(seed)
    fold = np.concatenate([rng.permutation(np.arange(n) % folds) for n in (len(humans), len(animals))])
    right = np.empty(len(rows), bool)
    for held in range(folds):
        seen, out = fold != held, fold == held
        mean, deviation = rows[seen].mean(0), rows[seen].std(0)
        scaled = (rows - mean) / np.where(deviation > 0, deviation, 1.0)
        weights, bias = fit_logistic(scaled[seen], labels[seen])
        right[out] = (scaled[out] @ weights + bias > 0) == labels[out]
    return float((right[labels == 0].mean() + right[labels == 1].mean()) / 2)


def fit_logistic(
    rows: Rows, labels: Int[np.ndarray, " rows"], ridge: float = RIDGE
) -> tuple[Float[np.ndarray, " dim"], float]:
    """Fit L2-regularised logistic regression, classes weighted equally, bias not penalised: (weights, bias) for labels 0 and 1."""
    counts = np.bincount(labels, minlength=2)
    weight, sign = (len(labels) / (2 * counts))[labels], 2.0 * labels - 1

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        margin = sign * (rows @ parameters[:-1] + parameters[-1])
        slope = -weight * sign * expit(-margin)
        value = weight @ np.logaddexp(0, -margin) + ridge / 2 * parameters[:-1] @ parameters[:-1]
        return float(value), np.append(rows.T @ slope + ridge * parameters[:-1], slope.sum())

    options = {"maxiter": 1000, "gtol": 1e-6, "ftol": 1e-12}
    found = minimize(loss, np.zeros(rows.shape[1] + 1), jac=True, method="L-BFGS-B", options=options).x
    return found[:-1], float(found[-1])


@dataclass(frozen=True)
class Mmd:
    """Unbiased MMD² (below 0 by chance when the sets are alike), its permutation p-value and the kernel's width."""

    squared: float
    p_value: float
    width: float


def mmd(humans: Rows, animals: Others, seed: int, permutations: int = 500) -> Mmd:
    """Test whether two sets come from one distribution (Gretton et al., 2012, eq. 3), kernel exp(-||x - y||² / (2 width²)).

    `width` is the median distance between rows of the joined set; p = (1 + exceeding permutations) / (1 + permutations).
    Values compare between regions only when widths do: the kernel is of the rows' own scale. ValueError for fewer than 2 rows.
    """
    n, m = len(humans), len(animals)
    if min(n, m) < 2:
        raise ValueError(f"each domain must have at least 2 rows, got {n} and {m}")
    rng, rows = np.random.default_rng(seed), np.concatenate([humans, animals]).astype(np.float64)
    chosen = rng.permutation(n + m)[:MEDIAN_ROWS]
    pairs = squared_distances(rows[chosen])[np.triu_indices(len(chosen), 1)]
    width = float(np.median(np.sqrt(pairs))) or 1.0
    kernel = np.exp(squared_distances(rows) / (-2 * width**2))
    np.fill_diagonal(kernel, 0.0)
    members = np.arange(n + m) < n
    found = float(_mmd2(kernel, members[None])[0])
    drawn = [
        _mmd2(kernel, rng.permuted(np.tile(members, (min(PERMUTED, permutations - i), 1)), axis=1))
        for i in range(0, permutations, PERMUTED)
    ]
    exceeding = int((np.concatenate(drawn) >= found - 1e-12).sum()) if drawn else 0
    return Mmd(found, (1 + exceeding) / (1 + permutations), width)


def squared_distances(rows: Rows) -> Float[np.ndarray, "rows rows"]:
    """Return the squared Euclidean distance of every two rows."""
    centred = rows - rows.mean(0)
    squares = (centred**2).sum(1)
    return np.maximum(squares[:, None] + squares - 2 * centred @ centred.T, 0.0)


def _mmd2(kernel: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Return the unbiased MMD² for each row of `members` bool [p, rows]; the kernel's diagonal is 0."""
    first = members.astype(np.float64)
    total, n = kernel.sum(), first.sum(1)
    m = kernel.shape[0] - n
    side = first @ kernel
    within = (side * first).sum(1)
    touching = side.sum(1)
    between = touching - within
    other = total - within - 2 * between
    return within / (n * (n - 1)) + other / (m * (m - 1)) - 2 * between / (n * m)
