"""Unit vectors, so that a dot product is a cosine."""

import numpy as np


def unit(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return float32 vectors [..., dim] of length 1 and the lengths [...] they had; a zero vector stays zero."""
    norms = np.linalg.norm(vectors.astype(np.float64), axis=-1, keepdims=True)
    return (vectors / np.maximum(norms, 1e-12)).astype(np.float32), norms[..., 0].astype(np.float32)
