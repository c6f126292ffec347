"""The composite: an animal's face on a person's, region by region and by amounts, as one face and without a network.

Both pictures are warped to one layout of eyes, nose and mouth, which lies between the person's and the animal's by the amounts;
the animal takes the person's light; each band of frequencies is blended under its own soft mask. Colour and coat come first as an
amount grows, eyes, nose pad and mouth later and quickly, so that two features never show through each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from rupantara.imaging import laplacian, relight
from rupantara.landmarks import spline
from rupantara.landmarks.align import fit_similarity, transform_points
from rupantara.landmarks.donor import Donor
from rupantara.landmarks.layout import Layout, cores, layout_of, outlines
from rupantara.landmarks.morph import frame_points
from rupantara.types import Landmarks, Picture, Points

FACE = ("eyes", "nose", "mouth", "forehead")
NEIGHBOURS = (("forehead", "eyes"), ("eyes", "nose"), ("nose", "mouth"))
STRIDE = 4
LIGHT = 0.6
LIGHT_SIGMA = 0.6
EDGE = 0.10


@dataclass(frozen=True)
class Part:
    """What one donor lends: an amount (0..1) by region."""

    donor: Donor
    amounts: Mapping[str, float]


def rise(amount: np.ndarray | float, start: float, stop: float) -> np.ndarray:
    """Return a smooth step of an amount from 0 at `start` to 1 at `stop`."""
    x = np.clip((np.asarray(amount, np.float32) - start) / (stop - start), 0, 1)
    return x * x * (3 - 2 * x)


def composite(host: Picture, landmarks: Landmarks, parts: Sequence[Part]) -> Picture:
    """Lay the parts on a person, one after the other; amounts of 0 return the picture to the bit."""
    layout = layout_of(landmarks)
    out = host
    for part in parts:
        wanted = {r: a for r, a in part.amounts.items() if a > 0 and r in FACE}
        if wanted:
            out = _lay(out, layout, part.donor, wanted)
    return out


def _lay(host: Picture, layout: Layout, donor: Donor, amounts: Mapping[str, float]) -> Picture:
    height, width = host.shape[:2]
    points = layout.between(amounts.get("nose", 0.0), amounts.get("mouth", 0.0))
    size = (height, width)
    below = warp_host(host, layout, points, size)
    source = source_points(donor, layout, points)
    xy = flow(*source, *size)
    above = cv2.remap(donor.picture, xy[0], xy[1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    alpha = cv2.remap(donor.alpha, xy[0], xy[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    lab, lab_host = relight.to_lab(above), relight.to_lab(below)
    cover, amount, core = masks(layout, points, amounts, size)
    sigma = LIGHT_SIGMA * layout.distance
    lab = lit(lab, lab_host, sigma)
    coat = rise(amount, -0.2, 0.85)
    coat = (coat - rise(0.0, -0.2, 0.85)) / (1 - rise(0.0, -0.2, 0.85))
    feature = rise(amount, 0.35, 0.9)
    # The person's own mouth must not look out below the animal's, where that has no more fur.
    hidden = soft(filled([layout.landmarks[48:60], layout.landmarks[27:36]], size), 0.06 * layout.distance)
    alpha = np.maximum(alpha, hidden)
    fine = cover * alpha * (coat + core * (feature - coat))
    slow = cover * np.clip(amount * 1.0, 0, 1)
    blended = laplacian.blend(lab_host, lab, [fine, fine, fine, fine * 0.7 + slow * 0.3, slow])
    made = relight.to_rgb(blended)
    return np.where((cover > 1 / 512)[..., None], made, below)


def lit(lab: np.ndarray, host: np.ndarray, sigma: float) -> np.ndarray:
    """Return the animal in the person's light: lightness drawn to the person's low frequencies; colour as strong as the picture's."""
    out = lab.copy()
    out[..., 0] += LIGHT * (relight.low(host[..., 0], sigma) - relight.low(lab[..., 0], sigma))
    strength = float(np.hypot(host[..., 1], host[..., 2]).mean())
    out[..., 1:] *= min(1.0, strength / 8.0)
    return out


def flow(target: Points, source: Points, height: int, width: int) -> np.ndarray:
    """Return where each target pixel is read, [2, height, width]; found on every STRIDE-th pixel."""
    rows, columns = -(-height // STRIDE), -(-width // STRIDE)
    scale = (np.asarray(target, np.float64) + 0.5) / STRIDE - 0.5
    (coarse,) = spline.flow(scale, source, height=rows, width=columns)
    return np.stack([cv2.resize(c, (width, height), interpolation=cv2.INTER_LINEAR) for c in coarse])


def source_points(donor: Donor, layout: Layout, points: Points) -> tuple[Points, Points]:
    """Return target and source control points of the animal: four inner ones, and far anchors that follow a similarity."""
    inner = donor.points[:4].astype(np.float64)
    turn = fit_similarity(layout.animal, inner)
    far = np.stack([layout.at(*place) for place in ((-3, 3), (3, 3), (-3, -4), (3, -4))])
    return np.concatenate([points, far]), np.concatenate([inner, transform_points(far, turn)])


def warp_host(host: Picture, layout: Layout, points: Points, size: tuple[int, int]) -> Picture:
    """Return the person with nose and mouth moved to `points`; the face's outline, the eyes and all around stay."""
    moved = float(np.abs(points - layout.own).max())
    if moved < 0.25:
        return host
    held = layout.landmarks[[*range(0, 27), 36, 39, 42, 45, 27]]
    frame = frame_points(size[1], size[0])
    target = np.concatenate([points[2:], held, frame])
    source = np.concatenate([layout.own[2:], held, frame])
    xy = flow(target, source, *size)
    return cv2.remap(host, xy[0], xy[1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)


def masks(
    layout: Layout, points: Points, amounts: Mapping[str, float], size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return cover (where the animal lies), amount (by place) and core (where features are), float32 [height, width] each."""
    shapes = outlines(layout)
    polygons = [shapes[r] for r in amounts]
    polygons += [np.concatenate([shapes[a], shapes[b]]) for a, b in NEIGHBOURS if a in amounts and b in amounts]
    if all(r in amounts for r in FACE):
        polygons.append(np.concatenate([shapes["cheeks"], shapes["forehead"]]))
    d = layout.distance
    cover = soft(filled(polygons, size), EDGE * d)
    fields = {r: soft(filled([shapes[r]], size), 0.2 * d) + 1e-3 for r in amounts}
    total = sum(fields.values())
    amount = sum(fields[r] * np.float32(amounts[r]) for r in amounts) / total
    rings = cores(layout, points)
    core = soft(filled([ring for r in amounts for ring in rings.get(r, [])], size), 0.06 * d)
    return cover, amount, core


def filled(polygons: Sequence[Points], size: tuple[int, int]) -> np.ndarray:
    """Return the union of the hulls of some points, float32 0 or 1."""
    mask = np.zeros(size, np.uint8)
    for polygon in polygons:
        cv2.fillConvexPoly(mask, cv2.convexHull(np.round(polygon).astype(np.int32)), 255)
    return mask.astype(np.float32) * np.float32(1 / 255)


def soft(mask: np.ndarray, sigma: float) -> np.ndarray:
    """Return a mask with its edge blurred inwards: 0 on the outline, 1 a little inside."""
    small = cv2.resize(mask, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(small, (0, 0), sigma / 2)
    return cv2.resize(blurred, mask.shape[1::-1], interpolation=cv2.INTER_LINEAR)
