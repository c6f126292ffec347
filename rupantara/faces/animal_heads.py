"""Heads of animals in a photograph, and their six points: `models.animal_landmarks` at as many scales as a photograph needs."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from rupantara.models.animal_landmarks import (
    CENTRE_STRIDE,
    POINT_STRIDE,
    POINTS,
    SIDE,
    UNIT_PX,
    VIEWS,
    AnimalLandmarks,
    Maps,
)
from rupantara.types import Picture

FIND = 0.3
"""Least probability of a head's centre."""
FOUND = 0.55
"""Least probability of a head with which the search ends; below, other scales are looked at too."""
SCALES = (1.0, 2.0, 0.6)
"""Sides that a photograph is shown at, in units of SIDE: small heads need more pixels, heads larger than it fewer."""
NEARER = 0.36
"""A head whose box is a smaller share of what the network was shown is looked at again, enlarged."""
SHARE = 0.7
"""The share of the next look that its box fills."""
LOOKS = 3
"""Most looks at one head after the first."""
LARGER = 1.3
"""A next look's head counts while its box is at most so much larger."""
LOOSE = 2.0
"""A box so many times as large as that of a surer head in it is that head's, seen at too small a scale."""
PRIOR = 0.16
"""Standard deviation, as a share of the box's side, with which the coarse place of a point weighs its heat map."""
LEAST_PEAK = 0.05
"""A point whose heat map says less stays where the coarse place puts it."""
OVERLAP = 0.35


@dataclass(frozen=True)
class Head:
    """An animal's head, in pixels of the photograph.

    `points` [6, 2] are in the order of `models.animal_landmarks.POINTS`, hidden ones where they are guessed to be;
    `visible` [6] are their probabilities to be seen, `peaks` [6] how sure their places are, `view` [4] the probabilities of VIEWS.
    """

    box: np.ndarray
    points: np.ndarray
    visible: np.ndarray
    peaks: np.ndarray
    view: np.ndarray
    score: float

    @property
    def sureness(self) -> float:
        """Return how sure the least sure of eyes and nose is, 0..1."""
        return float(self.peaks[:3].min())

    def named(self) -> dict[str, list[float] | None]:
        """Return the points by name, null where hidden."""
        return {
            name: [float(v) for v in point] if seen > 0.5 else None
            for name, point, seen in zip(POINTS, self.points, self.visible, strict=True)
        }

    @property
    def looks(self) -> str:
        """Return the likeliest of VIEWS."""
        return VIEWS[int(self.view.argmax())]


@dataclass(frozen=True)
class NetworkView:
    """What the network was shown: the photograph through [2, 3] `transform`, px -> px, to a picture of `size` (width, height)."""

    transform: np.ndarray
    size: tuple[int, int]

    def back(self, points: np.ndarray) -> np.ndarray:
        """Carry points [n, 2] of the shown picture to the photograph."""
        return (points - self.transform[:, 2]) / self.transform[0, 0]


class AnimalHeads:
    """Photograph -> the heads in it, its subject first."""

    def __init__(self, network: AnimalLandmarks) -> None:
        """Take a network; it is put into evaluation mode."""
        self._network = network.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # ty: ignore[no-matching-overload]

    def find(self, picture: Picture) -> list[Head]:
        """Return the heads of a photograph, at the first scales that show a sure one, the subject (sure, large, central) first."""
        height, width = picture.shape[:2]
        found: list[Head] = []
        for scale in SCALES:
            look = whole(width, height, scale)
            found += [self._nearer(picture, head, look) for head in self._seen(picture, look)]
            if any(head.score >= FOUND for head in found):
                break
        return sorted(_distinct(found), key=lambda head: -head.score * _weight(head, width, height))

    def _nearer(self, picture: Picture, head: Head, look: NetworkView) -> Head:
        """Look at a small head again, enlarged, until it is large in what is shown; return the last look's.

        The box of a small head is loose: the next one may be much smaller, anywhere in the first. One that overlaps it comes before others,
        however sure it is; those may be a neighbour's or none, and have to be surer than the last look's.
        """
        first = head.box
        for _ in range(LOOKS):
            size = float(head.box[2:].max())
            if size * look.transform[0, 0] / SIDE > NEARER:
                break
            look = around(head.box)
            seen = [o for o in self._seen(picture, look) if _holds(first, o.box) and o.box[2:].max() < LARGER * size]
            there = [o for o in seen if _overlap(head.box, o.box) > OVERLAP] or [
                o for o in seen if o.score > head.score
            ]
            if not there:
                break
            head = max(there, key=lambda other: other.score)
        return head

    def _seen(self, picture: Picture, look: NetworkView) -> list[Head]:
        shown = show(picture, look)
        images = torch.from_numpy(shown)[None].permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
        with torch.inference_mode():
            maps = self._network(images.contiguous(memory_format=torch.channels_last))
        return heads_of(Maps(*(m[0].float().numpy() for m in maps)), look)


def whole(width: int, height: int, scale: float) -> NetworkView:
    """Show a whole photograph, its longer side SIDE * scale, in the middle of a picture whose sides are multiples of 32."""
    zoom = SIDE * scale / max(width, height)
    sides = [max(32, int(np.ceil(round(length * zoom) / 32)) * 32) for length in (width, height)]
    if scale < 1:
        sides = [max(s, 160) for s in sides]
    shift = [(side - 1) / 2 - zoom * (length - 1) / 2 for side, length in zip(sides, (width, height), strict=True)]
    return NetworkView(np.array([[zoom, 0, shift[0]], [0, zoom, shift[1]]]), (sides[0], sides[1]))


def around(box: np.ndarray) -> NetworkView:
    """Show the surroundings of a box (x, y, width, height), which fills SHARE of them."""
    zoom = SHARE * SIDE / float(box[2:].max())
    middle = box[:2] + box[2:] / 2
    return NetworkView(np.concatenate([zoom * np.eye(2), (SIDE / 2 - 0.5 - zoom * middle)[:, None]], 1), (SIDE, SIDE))


def show(picture: Picture, look: NetworkView) -> Picture:
    """Warp a photograph for a look, smoothed where it shrinks, its edges drawn out."""
    zoom = look.transform[0, 0]
    source, warp = picture, look.transform
    if zoom < 0.6:
        size = (max(1, round(picture.shape[1] * zoom)), max(1, round(picture.shape[0] * zoom)))
        source = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        rest = zoom * picture.shape[1] / size[0], zoom * picture.shape[0] / size[1]
        # Pixel centres: x = f (x_small + 0.5) - 0.5.
        inverse = np.array([picture.shape[1] / size[0], picture.shape[0] / size[1]])
        warp = np.array([[rest[0], 0, 0], [0, rest[1], 0]])
        warp[:, 2] = look.transform[:, 2] + zoom * (0.5 * inverse - 0.5)
    return cv2.warpAffine(source, warp, look.size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def heads_of(maps: Maps, look: NetworkView) -> list[Head]:
    """Read the heads from the maps of one picture (numpy, no batch axis)."""
    centre, heat = sigmoid(np.asarray(maps.centre)), sigmoid(np.asarray(maps.points))
    highest = cv2.dilate(centre, np.ones((3, 3), np.uint8))
    found = []
    for row, column in np.argwhere((centre >= FIND) & (centre >= highest)):
        found.append(_head(maps, heat, int(row), int(column), float(centre[row, column]), look))
    return _distinct(sorted(found, key=lambda head: -head.score))


def _head(maps: Maps, heat: np.ndarray, row: int, column: int, score: float, look: NetworkView) -> Head:
    at = (np.array([column, row]) + 0.5) * CENTRE_STRIDE - 0.5
    left, top, right, bottom = np.asarray(maps.box)[:, row, column] * UNIT_PX
    coarse = at + np.asarray(maps.offsets)[:, :, row, column] * UNIT_PX
    side = max(float(left + right), float(top + bottom), 8.0)
    fine = [locate(heat[k], coarse[k], PRIOR * side) for k in range(len(POINTS))]
    points = np.array([point for point, _ in fine], np.float32)
    corners = look.back(np.array([at - np.array([left, top]), at + np.array([right, bottom])]))
    return Head(
        np.concatenate([corners[0], corners[1] - corners[0]]).astype(np.float32),
        look.back(points).astype(np.float32),
        sigmoid(np.asarray(maps.visible)[:, row, column]),
        np.array([peak for _, peak in fine], np.float32),
        _softmax(np.asarray(maps.view)[:, row, column]),
        score,
    )


def locate(heat: np.ndarray, coarse: np.ndarray, sigma_px: float) -> tuple[np.ndarray, float]:
    """Find a point near its coarse place (px of the shown picture) by its heat map: (place in px, height of the map there)."""
    height, width = heat.shape
    x, y = (coarse + 0.5) / POINT_STRIDE - 0.5
    sigma = max(sigma_px / POINT_STRIDE, 1.0)
    near = np.exp(
        -((np.arange(width) - x) ** 2)[None] / (2 * sigma**2) - ((np.arange(height) - y) ** 2)[:, None] / (2 * sigma**2)
    )
    row, column = np.unravel_index(int((heat * near).argmax()), heat.shape)
    peak = float(heat[row, column])
    if peak < LEAST_PEAK:
        return coarse, peak
    place = np.array([column + vertex(heat[row], int(column)), row + vertex(heat[:, column], int(row))])
    return (place + 0.5) * POINT_STRIDE - 0.5, peak


def vertex(line: np.ndarray, at: int) -> float:
    """Return where a parabola through the logarithms at `at` - 1, `at`, `at` + 1 is highest, -0.5..0.5: exact for a Gaussian."""
    if not 0 < at < len(line) - 1:
        return 0.0
    before, here, after = np.log(np.maximum(line[at - 1 : at + 2], 1e-6))
    bend = before - 2 * here + after
    return 0.0 if bend >= -1e-6 else float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5))


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-x))."""
    return 1 / (1 + np.exp(-np.clip(x, -30, 30)))


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max())
    return e / e.sum()


def _distinct(heads: list[Head]) -> list[Head]:
    kept: list[Head] = []
    for head in sorted(heads, key=lambda h: -h.score):
        if not any(_overlap(head.box, other.box) > OVERLAP or _is_loose(head.box, other.box) for other in kept):
            kept.append(head)
    return kept


def _is_loose(outer: np.ndarray, inner: np.ndarray) -> bool:
    return _holds(outer, inner) and float(outer[2:].max()) > LOOSE * float(inner[2:].max())


def _holds(outer: np.ndarray, inner: np.ndarray) -> bool:
    """Tell whether the middle of a box lies in another."""
    middle = inner[:2] + inner[2:] / 2
    return bool((middle >= outer[:2]).all() and (middle <= outer[:2] + outer[2:]).all())


def _overlap(first: np.ndarray, second: np.ndarray) -> float:
    low, high = np.maximum(first[:2], second[:2]), np.minimum(first[:2] + first[2:], second[:2] + second[2:])
    shared = float(np.prod(np.clip(high - low, 0, None)))
    return shared / max(float(first[2] * first[3] + second[2] * second[3]) - shared, 1e-9)


def _weight(head: Head, width: int, height: int) -> float:
    """Prefer large heads near the middle: half the weight at 0.6 of the shorter side away from it."""
    away = head.box[:2] + head.box[2:] / 2 - np.array([width, height]) / 2
    near = 0.5 ** ((float(np.hypot(*away)) / (0.6 * min(width, height))) ** 2)
    return near * min(1.0, float(head.box[2:].max()) / (0.5 * min(width, height))) ** 0.5
