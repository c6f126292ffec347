"""Edit paths from labelled faces: the mean code at each value of an attribute, others held equal, and a readout of the value.

The mean code is what changes with the attribute in pictures; the weights of a regression of the attribute on codes are not (they
tell values apart, and move a code where nobody is: Haufe et al., 2014). Both are found here: the first to move, the second to read.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from rupantara.generation.edits import EditPath
from rupantara.training.ridge import RidgeSums

AGE_KNOTS = (2.0, 6.0, 11.0, 17.0, 25.0, 35.0, 48.0, 62.0, 80.0)
"""Years: close where faces change fast."""

RANK = 3
"""Directions that a path may take: of few faces its codes are noisy, and noise would change who a face is."""

PENALTY = 1e-3
"""Ridge of the path's regression, of the number of rows."""


@dataclass(frozen=True)
class Labelled:
    """Standardized codes [n, tokens, dim], boxes [n, 6, 4], the attribute's values [n], other attributes [n, k] to be held equal."""

    tokens: np.ndarray
    boxes: np.ndarray
    values: np.ndarray
    others: np.ndarray


def hats(values: np.ndarray, knots: Sequence[float]) -> np.ndarray:
    """Return the shares of the knots that straight interpolation takes at values: [n, knots], rows sum to 1."""
    clipped = np.clip(values, knots[0], knots[-1])
    return np.stack([np.interp(clipped, knots, row) for row in np.eye(len(knots))], axis=1)


def fit_means(rows: np.ndarray, data: Labelled, knots: Sequence[float], rank: int = RANK) -> np.ndarray:
    """Return the mean of `rows` [n, ...] at each knot, other attributes at their means, its changes cut to `rank` directions."""
    flat = rows.reshape(len(rows), -1).astype(np.float64)
    others = data.others - data.others.mean(0) if data.others.size else np.zeros((len(flat), 0))
    design = np.concatenate([hats(data.values, knots), others], axis=1)
    normal = design.T @ design + PENALTY * len(flat) / len(knots) * np.eye(design.shape[1])
    codes = np.linalg.solve(normal, design.T @ flat)[: len(knots)]
    weights = np.sqrt(hats(data.values, knots).sum(0))[:, None]
    centre = (codes * weights**2).sum(0) / (weights**2).sum()
    _, _, axes = np.linalg.svd((codes - centre) * weights, full_matrices=False)
    kept = axes[: min(rank, len(knots) - 1)]
    codes = centre + (codes - centre) @ kept.T @ kept
    return codes.reshape(len(knots), *rows.shape[1:]).astype(np.float32)


def fit_readout(train: Labelled, val: Labelled) -> tuple[np.ndarray, float]:
    """Return weights [tokens, dim] and bias of a ridge regression of the values on codes, its penalty chosen on held-out faces."""
    flat = train.tokens.reshape(len(train.tokens), -1).astype(np.float32)
    held = val.tokens.reshape(len(val.tokens), -1).astype(np.float32)
    sums = RidgeSums.empty(flat.shape[1], 1)
    sums.update(flat, train.values[:, None].astype(np.float32))
    basis = sums.basis()
    penalty = basis.choose(held, val.values[:, None].astype(np.float32))
    found = basis.solve(penalty)
    weights = found.coefficients[:, 0]
    bias = float(found.mean_target[0] - found.mean_vector @ weights)
    return weights.reshape(train.tokens.shape[1:]).astype(np.float32), bias


def identity_axes(tokens: np.ndarray, vectors: np.ndarray, rank: int = 32) -> np.ndarray:
    """Return orthonormal directions of codes [rank, tokens * dim] along which identity vectors, by ridge regression, change most."""
    flat = tokens.reshape(len(tokens), -1).astype(np.float32)
    sums = RidgeSums.empty(flat.shape[1], vectors.shape[1])
    sums.update(flat, vectors.astype(np.float32))
    axes, _, _ = np.linalg.svd(sums.basis().solve(1.0).coefficients, full_matrices=False)
    return axes[:, :rank].T.astype(np.float32)


def orthogonal(codes: np.ndarray, axes: np.ndarray, amount: float) -> np.ndarray:
    """Take `amount` (0 to 1) of what a path's changes have along directions out of them; its mean code stays."""
    flat = codes.reshape(len(codes), -1)
    centre = flat.mean(0)
    moved = flat - centre
    return (centre + moved - amount * moved @ axes.T @ axes).reshape(codes.shape)


def fit(
    name: str,
    train: Labelled,
    val: Labelled,
    knots: Sequence[float],
    *,
    emphasis: float = 1.0,
    axes: np.ndarray | None = None,
    amount: float = 0.0,
) -> EditPath:
    """Fit the path and the readout of one attribute; `amount` of its changes along `axes` (of identity) is taken out."""
    codes = fit_means(train.tokens, train, knots)
    if axes is not None and amount > 0:
        codes = orthogonal(codes, axes, amount)
    readout, bias = fit_readout(train, val)
    boxes = fit_means(train.boxes, train, knots)
    tensors = [torch.from_numpy(np.asarray(a, np.float32)) for a in (knots, codes, boxes, readout)]
    return EditPath(name, *tensors, float(bias), emphasis)


def measure(path: EditPath, data: Labelled) -> dict[str, float]:
    """Return how well the readout knows held-out faces: mean absolute error, that of the median, and correlation."""
    found = path.read(torch.from_numpy(data.tokens).float()).numpy()
    error = float(np.abs(found - data.values).mean())
    median = float(np.abs(np.median(data.values) - data.values).mean())
    return {"error": error, "error_of_median": median, "correlation": float(np.corrcoef(found, data.values)[0, 1])}
