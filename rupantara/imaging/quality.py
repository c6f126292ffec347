"""Measures of an aligned crop, each one number that a threshold can be set on."""

import cv2
import numpy as np

from rupantara.types import Gray, Picture


def to_gray(picture: Picture) -> Gray:
    """Return the luma (BT.601)."""
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)


SHARPNESS_SIDE = 128
"""Sharpness is measured at this side of the crop, whatever the photograph's resolution: about 35 px between the eyes."""


def sharpness(gray: Gray) -> float:
    """Return the variance of the Laplacian over the variance of the luma, at SHARPNESS_SIDE.

    0 is flat. At one scale of the face the measure does not depend on how many pixels the photograph has, as long as it has
    that many; below, the picture is blurred at this scale and says so.
    """
    small = cv2.resize(gray, (SHARPNESS_SIDE, SHARPNESS_SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    return float(cv2.Laplacian(small, cv2.CV_32F).var() / max(float(small.var()), 1.0))


def chroma(picture: Picture) -> float:
    """Return the mean distance from grey in CIELAB (0 = monochrome, photographs about 10 to 40)."""
    lab = cv2.cvtColor(picture.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB)
    return float(np.hypot(lab[..., 1], lab[..., 2]).mean())


def brightness(gray: Gray) -> float:
    """Return the mean luma, 0..255."""
    return float(gray.mean())
