"""Soft masks of a composite: where the animal lies, by how much, and where features are. Found at a quarter of the side."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from rupantara.landmarks.layout import Layout, face_outline, features, outlines, own_features
from rupantara.types import Points

FACE = ("eyes", "nose", "mouth", "forehead")
"""The regions that lie in the face; ears are laid on apart."""

NEIGHBOURS = (("forehead", "eyes"), ("eyes", "nose"), ("nose", "mouth"))
"""Regions that touch: of one donor they are one mask."""

SHRINK, BITS = 4, 4
"""Masks are blurred by more than a pixel at a quarter of the side; polygons are drawn to 1/16 of such a pixel."""

EDGE, FEATURE_EDGE, AMOUNT_EDGE = 0.10, 0.06, 0.2
"""Blur, in eye distances, of the mask's outline, of features in it, and of the amounts between regions."""


class Masks(NamedTuple):
    """float32 [height, width] each: where the animal lies, the amount at each place, features, the person's own features there."""

    cover: np.ndarray
    amount: np.ndarray
    feature: np.ndarray
    hidden: np.ndarray


def masks_of(layout: Layout, points: Points, amounts: Mapping[str, float], size: tuple[int, int]) -> Masks:
    """Return the masks for amounts above 0 of some face regions; `points` [4, 2] are where the features lie.

    Neighbouring regions are joined. Features of regions that are not chosen are left out, so that a nose alone brings no mouth.
    """
    shapes, d = outlines(layout), layout.distance / SHRINK
    small = (-(-size[0] // SHRINK), -(-size[1] // SHRINK))
    hulls = [shapes[region] for region in amounts]
    hulls += [np.concatenate([shapes[a], shapes[b]]) for a, b in NEIGHBOURS if a in amounts and b in amounts]
    if len(amounts) == len(FACE):
        hulls.append(face_outline(layout))
    laid, own = features(layout, points), own_features(layout)
    others = [ring for region in laid if region not in amounts for ring in (*laid[region], *own[region])]
    cover = _soft(hulls, small, EDGE * d)
    if others:
        cover = cover * (1 - _soft(others, small, FEATURE_EDGE * d))
    amount = np.full(small, np.float32(max(amounts.values())))
    if len(set(amounts.values())) > 1:
        fields = {region: _soft([shapes[region]], small, AMOUNT_EDGE * d) + np.float32(1e-3) for region in amounts}
        total = np.add.reduce(list(fields.values()))
        amount = np.add.reduce([fields[region] * np.float32(amounts[region]) for region in amounts]) / total
    feature = _soft([ring for region in amounts for ring in laid.get(region, [])], small, FEATURE_EDGE * d)
    hidden = _soft([own[region][0] for region in ("nose", "mouth") if region in amounts], small, FEATURE_EDGE * d)
    return Masks(*(enlarge(mask, size) for mask in (cover, amount, feature, hidden)))


def eyes_mask(layout: Layout, size: tuple[int, int]) -> np.ndarray:
    """Return where the person's eyes are."""
    small = (-(-size[0] // SHRINK), -(-size[1] // SHRINK))
    return enlarge(_soft(own_features(layout)["eyes"], small, FEATURE_EDGE * layout.distance / SHRINK), size)


def enlarge(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a mask at full size [height, width]."""
    whole = cv2.resize(mask, (mask.shape[1] * SHRINK, mask.shape[0] * SHRINK), interpolation=cv2.INTER_LINEAR)
    return whole[: size[0], : size[1]]


def _soft(hulls: Sequence[Points], size: tuple[int, int], sigma: float) -> np.ndarray:
    """Draw the union of hulls (px of the whole picture) at a quarter of the side, its edge blurred."""
    mask = np.zeros(size, np.uint8)
    for hull in hulls:
        fixed = np.round(((hull + 0.5) / SHRINK - 0.5) * 2**BITS).astype(np.int32)
        cv2.fillConvexPoly(mask, cv2.convexHull(fixed), 255, cv2.LINE_AA, BITS)
    return cv2.GaussianBlur(mask.astype(np.float32) * np.float32(1 / 255), (0, 0), sigma)
