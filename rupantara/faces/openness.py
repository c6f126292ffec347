"""How far eyes and mouth are open: by points of a person's face, by the pixels around an animal's points."""

import cv2
import numpy as np

from rupantara.types import Landmarks, Picture, SixPoints

PATCH = 32
"""Side that an eye's surroundings are looked at in."""
REACH = 0.26
"""Half the side of these surroundings, in the distance between the eyes."""


def eyes_of_68(p: Landmarks) -> float:
    """Return the mean height of the eyes over their width (Soukupová and Čech, 2016): open about 0.3, shut below 0.15."""
    ratios = []
    for i in (36, 42):
        height = (np.hypot(*(p[i + 1] - p[i + 5])) + np.hypot(*(p[i + 2] - p[i + 4]))) / 2
        ratios.append(height / max(float(np.hypot(*(p[i + 3] - p[i]))), 1e-6))
    return float(np.mean(ratios))


def mouth_of_68(p: Landmarks) -> float:
    """Return the gap of the inner lips over their width."""
    gap = np.hypot(*(p[[61, 62, 63]] - p[[67, 66, 65]]).T).mean()
    return float(gap / max(float(np.hypot(*(p[64] - p[60]))), 1e-6))


def mouth_of_six(points: SixPoints) -> float | None:
    """Return the distance from nose to mouth over that from the eyes' middle to the nose: shut about 0.45, open from about 0.7."""
    if np.isnan(points[:4]).any():
        return None
    middle = (points[0] + points[1]) / 2
    return float(np.hypot(*(points[3] - points[2])) / max(float(np.hypot(*(points[2] - middle))), 1e-6))


def eyes_of_animal(picture: Picture, points: SixPoints) -> float | None:
    """Return how tall the structure of the less open eye is, over its surroundings' half height: a slit is low, a round eye high."""
    if np.isnan(points[:2]).any():
        return None
    return min(_eye(picture, points[i], points[1] - points[0]) for i in (0, 1))


def _eye(picture: Picture, eye: np.ndarray, across: np.ndarray) -> float:
    """Measure the vertical spread of contrast within a disc around an eye, in the head's own axes."""
    distance = max(float(np.hypot(*across)), 1e-6)
    scale = PATCH / (2 * REACH * distance)
    turn = scale / distance * np.array([[across[0], across[1]], [-across[1], across[0]]])
    shift = np.array([PATCH / 2 - 0.5] * 2) - turn @ eye
    patch = cv2.warpAffine(
        picture, np.concatenate([turn, shift[:, None]], 1), (PATCH, PATCH), borderMode=cv2.BORDER_REPLICATE
    )
    gray = cv2.GaussianBlur(cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 1.0)
    steep = np.abs(cv2.Sobel(gray, cv2.CV_32F, 0, 1))
    y, x = np.mgrid[:PATCH, :PATCH] / (PATCH / 2) - 1
    weight = steep * np.exp(-(x**2) / 0.18 - (y**2) / 0.5)
    middle = float((weight * y).sum() / max(float(weight.sum()), 1e-6))
    return float(np.sqrt((weight * (y - middle) ** 2).sum() / max(float(weight.sum()), 1e-6)))
