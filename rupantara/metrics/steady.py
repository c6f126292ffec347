"""Products of matrices whose rows do not hang on the rows beside them, so that any partition gives the same numbers to the bit."""

import numpy as np

ROWS = 128
"""Rows multiplied at a time: BLAS chooses its way by the shape, so the shape is always the same."""


def product(rows: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return rows [n, dim] times matrix [dim, out], float32."""
    out = np.empty((len(rows), matrix.shape[1]), np.float32)
    matrix = np.asarray(matrix, np.float32)
    for start in range(0, len(rows), ROWS):
        part = rows[start : start + ROWS]
        padded = np.zeros((ROWS, rows.shape[1]), np.float32)
        padded[: len(part)] = part
        out[start : start + ROWS] = (padded @ matrix)[: len(part)]
    return out
