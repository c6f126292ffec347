"""What of a picture is the animal: a soft cut-out from a guess of its head, and its colours carried on beyond it."""

import cv2
import numpy as np
from jaxtyping import Float

from rupantara.types import Gray, Picture

Alpha = Float[np.ndarray, "height width"]
SIDE = 96
"""Side at which the cut is found: it costs a tenth of a second at 256 and shows no more of a furry edge."""

ROUNDS = 3
"""Rounds of GrabCut; more change little."""

EXTEND_SIGMA = 0.06
"""Blur, over the side, of the first ring of colours that is carried outwards; each wider ring doubles it."""


def cut_out(picture: Picture, sure: Gray, maybe: Gray) -> Alpha:
    """Return how much of each pixel is the animal, 0..1 (Rother et al., "GrabCut", 2004).

    `sure` (> 0) is certainly animal and `maybe` (> 0) holds all of it; what lies outside `maybe` is background. Where nothing is
    outside, all of it is animal. Deterministic: OpenCV's generator is seeded.
    """
    height, width = picture.shape[:2]
    small = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    known, possible = (cv2.resize(m, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST) > 0 for m in (sure, maybe))
    labels = np.where(known, cv2.GC_FGD, np.where(possible, cv2.GC_PR_FGD, cv2.GC_BGD)).astype(np.uint8)
    if (labels == cv2.GC_BGD).any() and known.any():
        cv2.setRNGSeed(0)
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(small, labels, (0, 0, 1, 1), *models, ROUNDS, cv2.GC_INIT_WITH_MASK)
    inside = ((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)).astype(np.float32)
    inside = cv2.morphologyEx(inside, cv2.MORPH_OPEN, np.ones((3, 3)))
    soft = cv2.GaussianBlur(cv2.erode(inside, np.ones((3, 3))), (0, 0), 1.0)
    return cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR)


def extend(picture: Picture, alpha: Alpha) -> Picture:
    """Return the picture with its background painted over by the animal's nearest colours, smooth where there were none."""
    weight = alpha.astype(np.float32)
    side = picture.shape[0]
    small = cv2.resize(picture.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    share = cv2.resize(weight, (SIDE, SIDE), interpolation=cv2.INTER_AREA)[..., None] ** 2
    filled, known = small * share, share
    out, seen = np.zeros_like(small), np.zeros_like(share)
    for ring in range(6):
        sigma = EXTEND_SIGMA * SIDE * 2**ring / 4
        colours, mass = cv2.GaussianBlur(filled, (0, 0), sigma), cv2.GaussianBlur(known, (0, 0), sigma)[..., None]
        trust = np.clip(mass * 8, 0, 1) * (1 - seen)
        out += trust * colours / np.maximum(mass, 1e-6)
        seen = seen + trust
    out = np.where(seen > 1e-3, out / np.maximum(seen, 1e-3), small)
    painted = cv2.resize(out, (picture.shape[1], side), interpolation=cv2.INTER_CUBIC)
    return np.clip(painted + weight[..., None] * (picture - painted) + 0.5, 0, 255).astype(np.uint8)
