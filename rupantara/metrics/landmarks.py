"""How far predicted landmarks lie from the true ones."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

PointRows = Float[np.ndarray, "rows 68 2"]

OUTER_EYES = (36, 45)
"""Outer corners of the eyes (iBUG 300-W order): the distance that errors are divided by."""


class LandmarkErrors(NamedTuple):
    """Of each face: `squared` [rows, 68], the mean of both coordinates' squared errors, px²; `nme` [rows], see `landmark_errors`."""

    squared: np.ndarray
    nme: np.ndarray


def landmark_errors(found: PointRows, true: PointRows) -> LandmarkErrors:
    """Compare landmarks of the same faces.

    The mean of `squared` is equation 1 of `001_…`; `nme` is the mean distance of the 68 points over the distance of the outer
    corners of the true eyes (Sagonas et al., 2013). ValueError where true eyes coincide.
    """
    apart = (found.astype(np.float64) - true) ** 2
    between = np.linalg.norm(true[:, OUTER_EYES[0]] - true[:, OUTER_EYES[1]], axis=-1)
    if len(true) and not between.min() > 0:
        raise ValueError("the outer corners of the true eyes must be two points, got one")
    return LandmarkErrors(apart.mean(2), np.sqrt(apart.sum(2)).mean(1) / between)
