"""A drawn person's hair and beard."""

import numpy as np

from rupantara.synthetic.canvas import Canvas, Colour, mix
from rupantara.synthetic.human_shape import skull
from rupantara.synthetic.human_traits import HumanTraits
from rupantara.synthetic.shapes import Outline, ellipse, mirror, scatter, spline, tufted

VOLUME = {"short": 0.09, "parted": 0.15, "fringe": 0.15, "bun": 0.07, "long": 0.16, "bob": 0.18}
"""How far the hair stands above the skull, in face units."""


def paint_back_hair(canvas: Canvas, traits: HumanTraits, jaw: Outline) -> None:
    """Paint what lies behind the head: an afro, a bun, or the fall of long hair."""
    rng = np.random.default_rng([traits.pattern_seed, 1])
    dark = mix(traits.hair, (0, 0, 0), 0.3)
    if traits.style == "afro":
        cloud = tufted(ellipse((0, -0.62), (1.62 * traits.width, 1.5)), rng, 0.04, 110)
        canvas.fill(cloud, mix(traits.hair, (0, 0, 0), 0.1))
        _curls(canvas, scatter(cloud, rng, 500), rng)
    elif traits.style == "bun":
        canvas.fill(tufted(ellipse((0, -1.88 * traits.jaw), (0.5, 0.42)), rng, 0.015), traits.hair)
    elif traits.style in ("long", "bob"):
        bottom = 2.75 if traits.style == "long" else 1.45
        half = traits.width
        side = [(0.0, -1.75), (0.8 * half, -1.5), (1.34 * half, -0.5), (1.42 * half, 0.5), (1.38 * half, bottom - 0.3)]
        side += [(1.15 * half, bottom), (0.0, bottom)]
        fall = spline(side)
        outline = np.vstack([fall, mirror(fall[::-1])])
        canvas.fill(tufted(outline, rng, 0.008, 120), dark)
        x = rng.uniform(-1.35, 1.35, 130) * half
        starts = np.stack([x, rng.uniform(-0.6, bottom - 0.75, 130)], axis=1)
        canvas.strokes(starts, starts + np.stack([0.05 * x, rng.uniform(0.3, 0.6, 130)], axis=1), rng, 0.22)


def paint_front_hair(canvas: Canvas, traits: HumanTraits, jaw: Outline) -> None:
    """Paint the cap of hair between the crown and the hairline, and hair that hangs at the sides."""
    if traits.style == "bald":
        return
    rng = np.random.default_rng([traits.pattern_seed, 2])
    line = _hairline(traits, rng)
    if traits.style == "afro":
        cap = np.vstack([skull(traits, jaw, 0.1), line])
        canvas.fill(tufted(cap, rng, 0.03, 120), traits.hair)
        share, depth = rng.uniform(0.02, 0.98, 200), rng.uniform(0, 1, (200, 1))
        edge = _along(skull(traits, jaw, 0.1, num=60)[::-1], share)
        _curls(canvas, edge + (_along(line, share) - edge) * depth, rng)
        return
    cap = np.vstack([skull(traits, jaw, VOLUME[traits.style]), line])
    band = np.vstack([line - (0, 0.1), np.add(line[::-1], (0, 0.06))])
    canvas.soft(band, mix(traits.skin, (30, 15, 10), 0.5), 0.4, 0.035)
    canvas.fill(tufted(cap, rng, 0.008, 130), traits.hair)
    canvas.soft(ellipse((0.15, -1.45), (0.75, 0.16)), mix(traits.hair, (255, 240, 220), 0.4), 0.55, 0.12, within=cap)
    _strands(canvas, traits, jaw, line, rng)
    if traits.style in ("long", "bob"):
        _locks(canvas, traits, rng)


def paint_beard(canvas: Canvas, traits: HumanTraits, points: Outline) -> None:
    """Paint beard and moustache over the skin; lips are painted after it."""
    if traits.beard == "none":
        return
    rng = np.random.default_rng([traits.pattern_seed, 3])
    for outline in _beard_outlines(traits, points):
        shade = mix(traits.hair, traits.skin, 0.25)
        alpha = 0.38 if traits.beard == "stubble" else 0.94
        canvas.soft(
            outline,
            shade,
            alpha,
            0.05,
            within=tufted(np.vstack([skull(traits, points[:17]), points[:17] * 1.03]), rng, 0.01),
        )
        starts = scatter(outline, rng, 220)
        ends = starts + np.stack([0.06 * starts[:, 0], rng.uniform(0.05, 0.12, len(starts))], axis=1)
        canvas.strokes(starts, ends, rng, 0.16 if traits.beard == "stubble" else 0.28)


def _hairline(traits: HumanTraits, rng: np.random.Generator) -> Outline:
    """Return the lower edge of the hair, from the left-in-image ear over the forehead to the right one."""
    half = 1.16 * traits.width
    top = -0.98 - 0.12 * traits.age
    if traits.style == "fringe":
        heights = [(-0.8, -0.52), (-0.4, -0.56), (0.0, -0.6), (0.4, -0.56), (0.8, -0.52)]
        middle = [(x * half, y + rng.uniform(-0.03, 0.03)) for x, y in heights]
    elif traits.style in ("parted", "long"):
        part = rng.choice([-0.35, 0.0, 0.35])
        middle = [
            (-0.8 * half, -0.62),
            (part - 0.45, top + 0.05),
            (part, top - 0.2),
            (part + 0.45, top + 0.05),
            (0.8 * half, -0.62),
        ]
    else:
        middle = [(-0.8 * half, -0.72), (-0.5, top), (0.0, top + 0.06), (0.5, top), (0.8 * half, -0.72)]
    temple = [(0.99 * half, 0.1), (0.88 * half, -0.28)]
    right = np.array(temple)
    return spline(np.vstack([mirror(right), np.array(middle), right[::-1]]))


def _strands(canvas: Canvas, traits: HumanTraits, jaw: Outline, line: Outline, rng: np.random.Generator) -> None:
    """Comb the hair from the crown's edge to the hairline."""
    num = 150
    share = rng.uniform(0.04, 0.96, num)
    edge = skull(traits, jaw, VOLUME[traits.style], num=60)[::-1]
    outer = _along(edge, share)
    inner = _along(line, share)
    start = rng.uniform(0.02, 0.6, (num, 1))
    stop = np.minimum(start + rng.uniform(0.25, 0.5, (num, 1)), 0.99)
    canvas.strokes(outer + (inner - outer) * start, outer + (inner - outer) * stop, rng, 0.26)


def _along(path: Outline, share: np.ndarray) -> Outline:
    return path[(share * (len(path) - 1)).astype(int)]


def _locks(canvas: Canvas, traits: HumanTraits, rng: np.random.Generator) -> None:
    """Hang a lock down each side, in front of the ear's edge."""
    half = traits.width
    bottom = 2.3 if traits.style == "long" else 1.3
    outside = [(0.95, -0.85), (1.3, -0.4), (1.42, 0.5), (1.36, bottom - 0.2), (1.25, bottom)]
    inside = [(1.27, 0.6), (1.2, 0.0), (1.05, -0.45)]
    right = spline(np.array([*outside, *inside]) * (half, 1), closed=True)
    for lock in (right, mirror(right)):
        canvas.fill(lock, mix(traits.hair, (0, 0, 0), 0.08))
        starts = lock[rng.integers(4, 12, 20)] * np.stack([rng.uniform(0.95, 0.99, 20), np.ones(20)], axis=1)
        canvas.strokes(starts, starts + np.array([0.0, 0.45]), rng, 0.2)


def _curls(canvas: Canvas, starts: Outline, rng: np.random.Generator) -> None:
    angle = rng.uniform(0, 2 * np.pi, len(starts))
    canvas.strokes(starts, starts + 0.05 * np.stack([np.cos(angle), np.sin(angle)], axis=1), rng, 0.28)


def _beard_outlines(traits: HumanTraits, points: Outline) -> list[Outline]:
    corners, nose, lower = points[[48, 54]], points[31:36], points[57]
    below = np.array([corners[0], nose[0], nose[2], nose[4], corners[1]])
    below += [(-0.08, 0.06), (-0.06, 0.1), (0, 0.07), (0.06, 0.1), (0.08, 0.06)]
    above_lip = points[[52, 51, 50]] + [(0, 0.01), (0, 0), (0, 0.01)]
    moustache = spline(np.vstack([below, above_lip]), closed=True)
    if traits.beard == "moustache":
        return [moustache]
    if traits.beard == "goatee":
        chin = ellipse((0, 0.55 * lower[1] + 0.45 * points[8, 1]), (0.36, 0.5 * (points[8, 1] - lower[1]) + 0.1))
        return [moustache, chin]
    inside = [
        points[54] + (0.16, 0.0),
        nose[4] + (0.12, 0.2),
        nose[2] + (0, 0.12),
        nose[0] + (-0.12, 0.2),
        points[48] + (-0.16, 0),
    ]
    jaw = points[1:16] * (1.0, 1.03)
    full = np.vstack([jaw, spline(np.array([(1.05 * traits.width, 0.55), *inside, (-1.05 * traits.width, 0.55)]))])
    return [full]


def brow_hairs(canvas: Canvas, outline: Outline, colour: Colour, rng: np.random.Generator) -> None:
    """Fill a brow softly and comb it."""
    canvas.soft(outline, colour, 0.9, 0.012)
    starts = scatter(outline, rng, 26)
    canvas.strokes(starts, starts + np.array([0.04, -0.03]) * np.sign(starts[:, :1]), rng, 0.2)
