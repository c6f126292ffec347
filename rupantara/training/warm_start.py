"""PCA of small pictures, for the linear path of the region VAE and as a baseline of evaluation."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from rupantara.models import placement
from rupantara.models.region_vae import RegionVAEConfig
from rupantara.training.streams import Laid
from rupantara.types import Pictures, Vectors


class Pca(NamedTuple):
    """mean [d], orthonormal components [k, d], standard deviations [k] of the scores; float32."""

    mean: np.ndarray
    components: np.ndarray
    deviations: np.ndarray

    def reconstruct(self, rows: Vectors) -> Vectors:
        """Project rows on the components and back."""
        return self.mean + ((rows - self.mean) @ self.components.T) @ self.components


def fit_pca(rows: Vectors, num_components: int) -> Pca:
    """Fit by the Gram matrix of the rows or the covariance, whichever is smaller; at most rows - 1 components.

    Components below RANK_TOLERANCE are left out. Raise ValueError for fewer than two rows, or rows that do not differ.
    """
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
    variances = values[-k:].flip(0).float() / n
    kept = int((variances > RANK_TOLERANCE * variances[0]).sum())
    if not kept:
        raise ValueError("PCA needs rows that differ, got equal ones")
    return Pca(mean, components[:kept].numpy(), variances[:kept].sqrt().numpy())


RANK_TOLERANCE = 1e-5
"""Least ratio of a component's variance to the largest: below it, a score is rounding error, and whitening would blow it up."""


def small_views(pictures: Pictures, boxes: np.ndarray, config: RegionVAEConfig) -> tuple[Vectors, np.ndarray]:
    """Return the linear path's input: whole pictures [n, 3 * base_side²] and regions [n, 5, 3 * region_base_side²]."""
    images = torch.tensor(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
    small = F.adaptive_avg_pool2d(images, config.base_side).flatten(1)
    crops = placement.cut_regions(images, torch.tensor(boxes), config.region_base_side).flatten(2)
    return small.numpy(), crops.numpy()


def fit_pcas(streams: Iterable[Laid], model: RegionVAEConfig, most: int = 3000) -> tuple[Pca, list[Pca]]:
    """Fit the PCAs of a network's linear path, of whole pictures and of each region, on the first `most` faces of each stream."""
    whole: list[np.ndarray] = []
    regions: list[np.ndarray] = []
    for stream in streams:
        for batch in stream.limit(most).iter_batches(batch_size=256):
            small, crops = small_views(batch["image"], batch["boxes"], model)
            whole.append(small)
            regions.append(crops)
    crops = np.concatenate(regions)
    per_region = [fit_pca(np.ascontiguousarray(crops[:, i]), model.region_base_rank) for i in range(crops.shape[1])]
    return fit_pca(np.concatenate(whole), model.base_rank), per_region
