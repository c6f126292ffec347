"""A card a face: the face with its regions' boxes, its nearest animals by region, and its profile over species."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rupantara.landmarks.regions import PARTS

RADIUS = 70


@dataclass(frozen=True)
class Match:
    """A nearest animal's region: JPEG of the crop (b"" = not there), species and cosine."""

    crop: bytes
    species: str
    score: float


@dataclass(frozen=True)
class Card:
    """One face: id, JPEG, boxes [6, 4] as fractions, matches by region, and probability by species (mean over regions)."""

    face_id: str
    picture: bytes
    boxes: np.ndarray
    matches: dict[str, Sequence[Match]]
    profile: dict[str, float]


def encoded(jpeg: bytes) -> str:
    """Return a picture as a data URI."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


def boxes_svg(card: Card) -> str:
    """Draw the boxes of the six parts over a square."""
    rects = "".join(
        f'<rect x="{100 * x0:.1f}" y="{100 * y0:.1f}" width="{100 * (x1 - x0):.1f}" height="{100 * (y1 - y0):.1f}"'
        f"><title>{part.replace('_', ' ')}</title></rect>"
        for part, (x0, y0, x1, y1) in zip(PARTS, card.boxes.tolist(), strict=True)
    )
    return f'<svg class="boxes" viewBox="0 0 100 100" aria-hidden="true">{rects}</svg>'


def radar_svg(card: Card) -> str:
    """Draw the face's profile: 0 in the middle, 0.5 dashed, 1 at the rim."""
    names = sorted(card.profile)
    angles = -np.pi / 2 + np.arange(len(names)) * 2 * np.pi / max(len(names), 1)
    at = np.stack([np.cos(angles), np.sin(angles)], axis=1) * RADIUS
    values = np.array([card.profile[name] for name in names])
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in at * values[:, None])
    spokes = "".join(f'<line x2="{x:.1f}" y2="{y:.1f}"/>' for x, y in at)
    texts = "".join(
        f'<text x="{x * 1.2:.1f}" y="{y * 1.2 + 3:.1f}">{name} {value:.2f}</text>'
        for (x, y), name, value in zip(at, names, values, strict=True)
    )
    said = ", ".join(f"{name} {value:.2f}" for name, value in zip(names, values, strict=True))
    return (
        f'<svg class="radar" viewBox="-135 -95 270 190" role="img" aria-label="Profile: {said}"><circle r="{RADIUS}"/>'
        f'<circle r="{RADIUS / 2}" class="half"/>{spokes}<polygon points="{points}"/>{texts}</svg>'
    )
