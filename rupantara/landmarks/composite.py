"""The composite: an animal's face on a person's, region by region and by amounts, as one face and without a network.

Both pictures are warped to one layout of eyes, nose and mouth, which lies between the person's and the animal's by the amounts;
the animal takes the person's light; each band of frequencies is blended under its own soft mask (Burt and Adelson, 1983). As an
amount grows, hue and coat come first, and eyes, nose pad and mouth later and within a short way, so that two features never show
through each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from rupantara.errors import UserError
from rupantara.imaging import laplacian, relight
from rupantara.landmarks import spline
from rupantara.landmarks.align import fit_similarity, transform_points
from rupantara.landmarks.donor import Donor
from rupantara.landmarks.ears import onto_person
from rupantara.landmarks.layout import Layout, face_outline, layout_of
from rupantara.landmarks.masks import FACE, SHRINK, Masks, eyes_mask, masks_of
from rupantara.landmarks.morph import frame_points
from rupantara.landmarks.regions import REGIONS
from rupantara.types import Landmarks, Picture, Points

STRIDE = 4
"""Warps are found at every fourth pixel: with a dozen points they bend slowly."""

FAR = ((-3, 3), (3, 3), (-3, -4), (3, -4))
"""Far anchors, eye distances right of and above the eyes' middle, that follow a similarity: no spline runs away from the face."""

FILL = 1.3
"""How much larger the head grows away from eyes, nose and mouth: an animal's is narrower than a person's face, which shows around it."""

HELD = (*range(27), 27, 36, 39, 42, 45)
"""Of the person's 68 points, those that stay where they are: jaw, brows, corners of the eyes."""

EARS_SEEN = 0.3
"""The amount from which growing ears are solid."""

MARGIN = 0.35
"""How far beyond the face's outline masks and their light reach, in eye distances; two pixels of the masks are added."""

TOUCHED = 1 / 512
"""A mask below this leaves a pixel as it is."""

BAND = 0.25
"""The coarsest band's pixel is at most this many eye distances wide: wider ones would glow beyond the mask of a small picture."""

RIM = 0.22
"""Below this cover, what the coarse bands spread fades out, so that no edge shows where the mask ends."""


@dataclass(frozen=True)
class Style:
    """How a composite is blended; the values were chosen by looking, and by species and identity over the amounts.

    `light` is how much of the person's low frequencies of lightness the animal takes, `light_sigma` their blur in eye distances;
    `full_chroma` the picture's mean distance from grey from which the animal keeps all of its colour; `coat` and `feature` the
    amounts between which the coat's and the features' detail come.
    """

    light: float = 0.6
    light_sigma: float = 0.6
    full_chroma: float = 8.0
    coat: tuple[float, float] = (-0.2, 0.85)
    feature: tuple[float, float] = (0.35, 0.9)


@dataclass(frozen=True)
class DonorShare:
    """What one donor lends: an amount (0..1) by region; what is not named stays the person's."""

    donor: Donor
    amounts: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the amounts."""
        for region, amount in self.amounts.items():
            if region not in REGIONS or not 0 <= amount <= 1:
                raise UserError(
                    f"amounts must be in [0, 1], by regions of {', '.join(REGIONS)}, got {amount!r} for {region!r}"
                )


def composite(
    person: Picture, landmarks: Landmarks, parts: Sequence[DonorShare], style: Style | None = None
) -> Picture:
    """Lay what some donors lend on a person, one after the other; amounts of 0 return the picture to the bit.

    `landmarks` are 68 points in px of the picture. ValueError for points that span no face.
    """
    style = style or Style()
    parts = [part for part in parts if any(amount > 0 for amount in part.amounts.values())]
    if not parts:
        return person.copy()
    layout = layout_of(landmarks)
    window = face_window(layout, person.shape[:2])
    inner = layout_of(landmarks - (window[1].start, window[0].start))
    lab = relight.to_lab(person)
    chroma = float(np.hypot(lab[..., 1], lab[..., 2]).mean())
    colour = min(1.0, chroma / style.full_chroma)
    touched = np.zeros(person.shape[:2], bool)
    for part in parts:
        lab[window], changed = _lay_face(lab[window], inner, part, style, colour)
        touched[window] |= changed
        _lay_ears(lab, touched, layout, part, style, colour)
    out = person.copy()
    left, top, width, height = cv2.boundingRect(touched.view(np.uint8))
    place = slice(top, top + height), slice(left, left + width)
    if width:
        out[place] = np.where(touched[place][..., None], relight.to_rgb(lab[place]), person[place])
    return out


def face_window(layout: Layout, size: tuple[int, int]) -> tuple[slice, slice]:
    """Return rows and columns that hold all that a face's masks can reach: half of an aligned crop need not be looked at."""
    outline, margin = face_outline(layout), MARGIN * layout.distance + 2 * SHRINK
    low = np.clip(np.floor(outline.min(0) - margin), 0, np.array(size[::-1]) - 1).astype(int)
    high = np.clip(np.ceil(outline.max(0) + margin), low + 1, size[::-1]).astype(int)
    return slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))


def _lay_face(
    person: np.ndarray, layout: Layout, part: DonorShare, style: Style, colour: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the person in CIELAB with the regions of the face laid on, and which pixels changed."""
    size = person.shape[:2]
    amounts = {region: part.amounts[region] for region in FACE if part.amounts.get(region, 0.0) > 0}
    if not amounts:
        return person, np.zeros(size, bool)
    points = layout.between(amounts.get("nose", 0.0), amounts.get("mouth", 0.0))
    below, moved = _moved(person, layout, points)
    xy = flow(*_control(part.donor, layout, points), *size)
    above = _float_lab(cv2.remap(part.donor.lab, xy[0], xy[1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE))
    animal = cv2.remap(part.donor.alpha, xy[0], xy[1], cv2.INTER_LINEAR) * np.float32(1 / 255)
    above[..., 1:] *= colour
    sigma = style.light_sigma * layout.distance
    above[..., 0] += style.light * (relight.low(below[..., 0], sigma) - relight.low(above[..., 0], sigma))
    masks = masks_of(layout, points, amounts, size)
    eyes = None if part.donor.eyes_open else eyes_mask(layout, size)
    out = laplacian.blend(below, above, bands(masks, animal, style, levels_for(layout.distance), eyes))
    inside = rise(masks.cover, (0, RIM))[..., None]
    return below + inside * (out - below), moved | (masks.cover > TOUCHED)


def levels_for(distance: float) -> int:
    """Return how many bands suit an eye distance in px: five at 256² crops, fewer for smaller faces."""
    return int(np.clip(1 + np.floor(np.log2(max(BAND * distance, 1.0))), 2, laplacian.LEVELS))


def bands(
    masks: Masks, animal: np.ndarray, style: Style, levels: int = laplacian.LEVELS, eyes: np.ndarray | None = None
) -> list[np.ndarray]:
    """Return the mask of each band, finest first.

    Detail comes where the picture is `animal` (0..1), and over the person's own nose and mouth, which must not look out beside the
    animal's; colour, the coarsest band, everywhere in the mask. `eyes` are where the person keeps their own.
    """
    start = rise(np.zeros(1, np.float32), style.coat)
    coat = (rise(masks.amount, style.coat) - start) / (1 - start)
    share = coat + masks.feature * (rise(masks.amount, style.feature) - coat)
    detail = masks.cover * np.maximum(animal, masks.hidden) * share
    if eyes is not None:
        detail = detail * (1 - eyes)
    fine = laplacian.gaussian_pyramid(detail, levels - 1)
    slow = laplacian.gaussian_pyramid(masks.cover * masks.amount, levels)
    return [*fine[:-1], 0.7 * fine[-1] + 0.3 * slow[-2], slow[-1]]


def rise(amount: np.ndarray, between: tuple[float, float]) -> np.ndarray:
    """Return a smooth step of an amount, from 0 at the first number to 1 at the second."""
    x = np.clip((amount - between[0]) / np.float32(between[1] - between[0]), 0, 1)
    return x * x * (3 - 2 * x)


def _float_lab(lab: np.ndarray) -> np.ndarray:
    """Return 8-bit CIELAB on its own scale."""
    out = lab.astype(np.float32)
    out *= _row(100 / 255, 1, 1)
    out -= _row(0, 128, 128)
    return out


def _row(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def flow(target: Points, source: Points, height: int, width: int) -> np.ndarray:
    """Return where each target pixel is read: [2, height, width], found on every STRIDE-th pixel."""
    rows, columns = -(-height // STRIDE), -(-width // STRIDE)
    (coarse,) = spline.flow((target + 0.5) / STRIDE - 0.5, source, height=rows, width=columns)
    size = (columns * STRIDE, rows * STRIDE)
    return np.stack([cv2.resize(axis, size, interpolation=cv2.INTER_LINEAR)[:height, :width] for axis in coarse])


def _control(donor: Donor, layout: Layout, points: Points) -> tuple[Points, Points]:
    """Return target and source control points of the animal: four inner ones and the far anchors."""
    inner = donor.points[:4]
    far = np.stack([layout.at(*place) for place in FAR])
    carried = transform_points(far, fit_similarity(layout.animal, inner))
    carried = inner.mean(0) + (carried - inner.mean(0)) / FILL
    return np.concatenate([points, far]), np.concatenate([inner, carried])


def _moved(person: np.ndarray, layout: Layout, points: Points) -> tuple[np.ndarray, np.ndarray]:
    """Return the person with nose and mouth moved to `points`, and which pixels that moves; outline, eyes and all around stay."""
    size = person.shape[:2]
    if float(np.abs(points - layout.own).max()) < 0.25:
        return person, np.zeros(size, bool)
    held = np.concatenate([layout.landmarks[list(HELD)], frame_points(size[1], size[0])])
    xy = flow(np.concatenate([points[2:], held]), np.concatenate([layout.own[2:], held]), *size)
    # Only the face moves: beyond it the spline's small ripples would cost the rest its bits.
    hull = cv2.convexHull(np.round(layout.landmarks[:27]).astype(np.int32))
    face = cv2.fillConvexPoly(np.zeros(size, np.uint8), hull, 1) > 0
    out = cv2.remap(person, xy[0], xy[1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return np.where(face[..., None], out, person), face


def _lay_ears(
    lab: np.ndarray, touched: np.ndarray, layout: Layout, part: DonorShare, style: Style, colour: float
) -> None:
    """Lay the donor's ears, if it has any, on the person in place, and mark which pixels changed."""
    size, amount, donor = lab.shape[:2], part.amounts.get("ears", 0.0), part.donor
    if amount <= 0 or donor.ears is None:
        return
    x, y = np.round(layout.landmarks[17:].mean(0)).astype(int)
    reach = round(0.5 * layout.distance)
    around = lab[max(y - reach, 0) : y + reach, max(x - reach, 0) : x + reach, 0]
    shift = style.light / 2 * (float(around.mean()) - donor.lightness) if around.size else 0.0
    for side, ear in zip((-1, 1), donor.ears, strict=True):
        to_person = onto_person(ear, donor.points, layout, side, amount)
        mask = cv2.warpAffine(ear.mask, to_person, size[::-1])
        left, top, width, height = cv2.boundingRect(mask)
        if not width:
            continue
        place = slice(top, top + height), slice(left, left + width)
        to_person[:, 2] -= (left, top)
        source = np.ascontiguousarray(donor.lab[:, ::-1]) if ear.flipped else donor.lab
        laid = _float_lab(cv2.warpAffine(source, to_person, (width, height), borderMode=cv2.BORDER_REPLICATE))
        laid = laid * _row(1, colour, colour) + _row(shift, 0, 0)
        share = mask[place] * np.float32(min(1.0, amount / EARS_SEEN) / 255)
        lab[place] += share[..., None] * (laid - lab[place])
        touched[place] |= share > TOUCHED
