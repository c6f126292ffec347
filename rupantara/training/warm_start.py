"""PCA of small pictures, for the linear path of the region VAE and as a baseline of evaluation."""

from typing import NamedTuple

import numpy as np
import torch

from rupantara.types import Vectors


class Pca(NamedTuple):
    """mean [d], orthonormal components [k, d], deviations [k] of the scores; float32."""

    mean: np.ndarray
    components: np.ndarray
    deviations: np.ndarray

    def reconstruct(self, rows: Vectors) -> Vectors:
        """Project rows on the components and back."""
        return self.mean + ((rows - self.mean) @ self.components.T) @ self.components


def fit_pca(rows: Vectors, num_components: int) -> Pca:
    """Fit by the Gram matrix of the rows or the covariance, whichever is smaller; at most rows - 1 components."""
    n, d = rows.shape
    k = min(num_components, n - 1, d)
    if k < 1:
        raise ValueError(f"PCA needs at least 2 rows, got {n}")
    mean = rows.mean(0, dtype=np.float64).astype(np.float32)
    centred = torch.from_numpy(rows - mean)
    if d <= n:
        values, vectors = torch.linalg.eigh((centred.T @ centred).double())
        components = vectors[:, -k:].flip(1).T.float()
    else:
        values, vectors = torch.linalg.eigh((centred @ centred.T).double())
        scaled = vectors[:, -k:].flip(1).float() / values[-k:].flip(0).clamp(min=1e-12).sqrt().float()
        components = scaled.T @ centred
    deviations = (values[-k:].flip(0).clamp(min=1e-12) / n).sqrt().float()
    return Pca(mean, components.numpy(), deviations.numpy())
