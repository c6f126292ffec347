"""Groups of photographs that belong together, near-duplicates and series of one source, so that no fold sees another's."""

from collections.abc import Sequence

import cv2
import numpy as np

from rupantara.types import Picture

SIDE = 12
ALIKE, ALIKE_IN_SERIES = 0.93, 0.85
"""Least correlation of thumbnails of near-duplicates, and of photographs of one source."""


def thumbnail(picture: Picture) -> np.ndarray:
    """Return a picture's light at SIDE x SIDE, mean 0 and length 1 [SIDE * SIDE]."""
    small = cv2.resize(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    flat = small.astype(np.float32).ravel() - small.mean()
    return flat / max(float(np.linalg.norm(flat)), 1e-6)


def group(thumbnails: np.ndarray, sources: Sequence[str]) -> np.ndarray:
    """Return the group of each photograph [n]: alike, also mirrored, or less alike and of one source; it carries over."""
    mirrored = thumbnails.reshape(-1, SIDE, SIDE)[:, :, ::-1].reshape(len(thumbnails), -1)
    alike = np.maximum(thumbnails @ thumbnails.T, thumbnails @ mirrored.T)
    names = np.array(sources)
    joined = (alike > ALIKE) | ((alike > ALIKE_IN_SERIES) & (names[:, None] == names[None, :]))
    groups = np.arange(len(thumbnails))
    for i, j in np.argwhere(np.triu(joined, 1)):
        groups[groups == groups[j]] = groups[i]
    return groups


def folds(groups: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """Deal groups into `count` folds of nearly equal size, the largest first: the fold of each photograph [n]."""
    names, sizes = np.unique(groups, return_counts=True)
    order = np.lexsort((np.random.default_rng(seed).random(len(names)), -sizes))
    totals, fold_of = np.zeros(count), {}
    for i in order:
        fold = int(totals.argmin())
        fold_of[names[i]] = fold
        totals[fold] += sizes[i]
    return np.array([fold_of[g] for g in groups])
