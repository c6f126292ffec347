"""Light and hue of one picture for another, in CIELAB: what is slow in space is light, what is quick is marking."""

import cv2
import numpy as np

from rupantara.imaging.laplacian import Layer
from rupantara.types import Picture

SHRINK = 8
"""Low frequencies are found at 1/8 of the side."""


def to_lab(picture: Picture) -> Layer:
    """Return CIELAB: L 0..100, a, b; float32."""
    return cv2.cvtColor(picture.astype(np.float32) * np.float32(1 / 255), cv2.COLOR_RGB2LAB)


def to_rgb(lab: Layer) -> Picture:
    """Return RGB 0..255 of CIELAB, clipped."""
    rgb = cv2.cvtColor(lab.astype(np.float32), cv2.COLOR_LAB2RGB)
    return cv2.convertScaleAbs(np.maximum(rgb, 0), alpha=255)


def low(layer: np.ndarray, sigma: float) -> np.ndarray:
    """Return the low frequencies of a layer, blurred by `sigma` px."""
    height, width = layer.shape[:2]
    small = cv2.resize(layer, (max(1, width // SHRINK), max(1, height // SHRINK)), interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(small, (0, 0), max(sigma / SHRINK, 0.3), borderType=cv2.BORDER_REPLICATE)
    return cv2.resize(soft, (width, height), interpolation=cv2.INTER_CUBIC)
