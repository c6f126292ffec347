"""Measures of an aligned crop, each one number that a threshold can be set on."""

import cv2
import numpy as np

from rupantara.types import Gray, Picture


def to_gray(picture: Picture) -> Gray:
    """Return the luma (BT.601)."""
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)


def sharpness(gray: Gray) -> float:
    """Return the variance of the Laplacian over the variance of the luma: 0 is flat, faces in focus lie above 0.01."""
    luma = gray.astype(np.float32)
    return float(cv2.Laplacian(luma, cv2.CV_32F).var() / max(float(luma.var()), 1.0))


def chroma(picture: Picture) -> float:
    """Return the mean distance from grey in CIELAB (0 = monochrome, photographs about 10 to 40)."""
    lab = cv2.cvtColor(picture.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB)
    return float(np.hypot(lab[..., 1], lab[..., 2]).mean())


def brightness(gray: Gray) -> float:
    """Return the mean luma, 0..255."""
    return float(gray.mean())
