"""Saturation and contrast as one affine map of colours a picture."""

from dataclasses import dataclass

import cv2
import numpy as np

from rupantara.imaging.parameters import ranged
from rupantara.types import Pictures

LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of BT.601, those of `quality.to_gray`."""


def saturation_matrix(factor: float) -> np.ndarray:
    """Return the 3 x 3 matrix that moves colours from their luma (factor 0) through themselves (1) and beyond.

    P. Haeberli, "Matrix Operations for Image Processing", 1993, with the weights of BT.601. Greys stay, and so does every luma.
    """
    return factor * np.eye(3) + (1 - factor) * np.tile(LUMA, (3, 1))


@dataclass(frozen=True)
class Tone:
    """Scale colour about each pixel's luma, then everything about the picture's mean luma; 1 and 1 change nothing."""

    saturation: float = ranged(1.3, 0, 4)
    """0 = grey, 1 = as it is."""
    contrast: float = ranged(1.2, 0, 4)
    """0 = the mean luma everywhere, 1 = as it is. The mean luma stays, but for what is clipped."""

    def __call__(self, pictures: Pictures) -> Pictures:
        """Return the changed pictures; clipped once, after both."""
        matrix = np.empty((3, 4))
        matrix[:, :3] = self.contrast * saturation_matrix(self.saturation)
        out = np.empty_like(pictures)
        for i, picture in enumerate(pictures):
            matrix[:, 3] = (1 - self.contrast) * (LUMA @ cv2.mean(picture)[:3])
            cv2.transform(picture, matrix, dst=out[i])
        return out
