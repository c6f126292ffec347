"""The spline warp of `001_…`, equations 3 to 6, in numpy: phi(r) = r plus an affine part, solved and evaluated exactly."""

import numpy as np

from rupantara.types import Points

TILE_ROWS = 4
"""Rows evaluated at a time: their distances to 68 points stay in the core's cache."""

MIN_DISTANCE_PX = 0.25
"""Control points closer than this count as one: a repeated point makes the system singular."""

MAX_CONDITION = 1e12


class DegenerateError(ValueError):
    """The control points determine no spline: too few distinct ones, or all on one line."""


def merge_repeated(target: Points, *sources: Points) -> tuple[Points, ...]:
    """Average control points whose targets are closer than MIN_DISTANCE_PX with their sources; the others stay."""
    distance = np.hypot(*(target[:, None] - target[None]).transpose(2, 0, 1))
    group = (distance < MIN_DISTANCE_PX).argmax(1)
    if len(np.unique(group)) == len(target):
        return (target, *sources)
    return tuple(np.array([points[group == g].mean(0) for g in np.unique(group)]) for points in (target, *sources))


def solve(target: Points, values: np.ndarray) -> np.ndarray:
    """Return weights [n + 3, k] (w, then v of x, y and 1) of the splines through `values` [n, k] at `target` [n, 2] (eq 6).

    Raise DegenerateError for fewer than three points, points on one line, or a system too ill-conditioned to trust.
    """
    n = len(target)
    if n < 3 or not (np.isfinite(target).all() and np.isfinite(values).all()):
        raise DegenerateError(f"a spline needs 3 finite control points, got {n}")
    matrix = np.zeros((n + 3, n + 3))
    matrix[:n, :n] = np.hypot(*(target[:, None] - target[None]).astype(np.float64).transpose(2, 0, 1))
    matrix[:n, n : n + 2], matrix[:n, n + 2] = target, 1
    matrix[n:, :n] = matrix[:n, n:].T
    condition = float(np.linalg.cond(matrix))
    if not condition < MAX_CONDITION:
        raise DegenerateError(f"control points must not lie on one line or repeat, got a condition of {condition:.1e}")
    right = np.zeros((n + 3, values.shape[1]))
    right[:n] = values
    return np.linalg.solve(matrix, right)


def evaluate(target: Points, weights: np.ndarray, height: int, width: int) -> np.ndarray:
    """Evaluate splines at every pixel: float32 [k, height, width] (eq 3)."""
    n, centre = len(target), target.astype(np.float32)
    columns = np.ascontiguousarray(weights.T, np.float32)
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    dx2, dy2 = (x - centre[:, :1]) ** 2, (y - centre[:, 1:]) ** 2
    # Each pixel's column of the matrix of eq 6: its distances, then x, y and 1.
    tile = np.empty((n + 3, TILE_ROWS, width), np.float32)
    tile[n], tile[n + 2] = x, 1
    out = np.empty((len(columns), height, width), np.float32)
    for top in range(0, height, TILE_ROWS):
        rows = min(TILE_ROWS, height - top)
        distance = tile[:n, :rows]
        np.add(dx2[:, None], dy2[:, top : top + rows, None], out=distance)
        np.sqrt(distance, out=distance)
        tile[n + 1, :rows] = y[top : top + rows, None]
        out[:, top : top + rows] = np.tensordot(columns, tile[:, :rows], 1)
    return out


def flow(target: Points, *sources: Points, height: int, width: int) -> np.ndarray:
    """Return for each source the map from target pixels to its pixels: float32 [sources, 2, height, width], x then y.

    The control points are shared, so all sources cost one solve and one evaluation of the distances.
    """
    target, *merged = merge_repeated(np.asarray(target, np.float64), *(np.asarray(s, np.float64) for s in sources))
    weights = solve(target, np.concatenate(merged, axis=1))
    return evaluate(target, weights, height, width).reshape(len(sources), 2, height, width)
