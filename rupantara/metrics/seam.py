"""Seam energy: how much steeper a picture is across a mask's border than beside it. 1 = no seam; a pasted edge is well above."""

from dataclasses import dataclass

import cv2
import numpy as np

from rupantara.imaging.quality import to_gray
from rupantara.types import Gray, Picture

BAND_PX = 3
"""Half the width of the band on the border, and the width of the bands beside it, at 256 px."""

LEAST = 1e-3


@dataclass(frozen=True)
class SeamStats:
    """Sums of squared gradients across the border and beside it, and how many pixels there were of each."""

    across: float = 0.0
    across_count: int = 0
    beside: float = 0.0
    beside_count: int = 0

    @staticmethod
    def update(picture: Picture, mask: Gray) -> "SeamStats":
        """Measure one picture; `mask` (> 127) is where the animal was laid. Nothing is counted where it has no border."""
        inside = (mask > 127).astype(np.uint8)
        band = max(1, round(BAND_PX * picture.shape[0] / 256))
        at = _ring(inside, 0, band)
        near = _ring(inside, band, 3 * band)
        gray = to_gray(picture).astype(np.float32)
        soft = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 2.0 * band)
        normal = np.stack([cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1)])
        normal = normal / np.maximum(np.hypot(*normal), 1e-6)
        slope = np.stack([cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1)]) / 8
        energy = (slope * normal).sum(0).astype(np.float64) ** 2
        return SeamStats(float(energy[at].sum()), int(at.sum()), float(energy[near].sum()), int(near.sum()))

    def merge(self, other: "SeamStats") -> "SeamStats":
        """Add the sums of other pictures."""
        return SeamStats(
            self.across + other.across,
            self.across_count + other.across_count,
            self.beside + other.beside,
            self.beside_count + other.beside_count,
        )

    def compute(self) -> float:
        """Return the mean squared gradient across the border over that beside it; ValueError when no border was seen."""
        if not self.across_count or not self.beside_count:
            raise ValueError("seam energy needs a mask with a border, got none")
        beside = self.beside / self.beside_count
        return (self.across / self.across_count) / max(beside, LEAST)


def _ring(inside: np.ndarray, low: int, high: int) -> np.ndarray:
    """Return the pixels whose distance to the border is above `low` and at most `high` px, on either side."""
    away = np.where(inside > 0, _distance(inside), _distance(1 - inside))
    return (away > low) & (away <= high)


def _distance(mask: np.ndarray) -> np.ndarray:
    return cv2.distanceTransform(mask, cv2.DIST_L2, 3)
