"""Paints a drawn animal; its five keypoints are the control points of eyes, nose leather and mouth."""

import cv2
import numpy as np

from rupantara.synthetic.animal_traits import Animal, Mood
from rupantara.synthetic.canvas import Canvas, mix
from rupantara.synthetic.markings import paint_mane, paint_markings
from rupantara.synthetic.shapes import Outline, ellipse, mirror, scatter, spline, taper, tufted

NOSE_LIFT = 0.35
MOUTH_LIFT = 0.15
"""How far nose leather and mouth stand out of the head, in face units."""


def paint_animal(canvas: Canvas, animal: Animal, mood: Mood) -> Outline:
    """Paint an animal and return its five keypoints in picture pixels."""
    corner = np.array(animal.species.mouth)
    points = np.array([(-0.5, 0), (0.5, 0), (0, animal.species.nose[0]), corner * (-1, 1), corner])
    rng = np.random.default_rng([animal.pattern_seed, 7])
    _chest(canvas, animal, rng)
    if "mane" in animal.markings:
        paint_mane(canvas, animal)
    if animal.ear != "floppy":
        _ears(canvas, animal, mood, rng)
    _head(canvas, animal, rng)
    _muzzle(canvas, animal, mood)
    _nose(canvas, animal)
    for side in (-1, 1):
        _eye(canvas, animal, mood, side)
    if animal.ear == "floppy":
        _ears(canvas, animal, mood, rng)
    if animal.species.whiskers:
        _whiskers(canvas, animal, rng)
    return canvas.view.place(points, np.array([0, 0, NOSE_LIFT, MOUTH_LIFT, MOUTH_LIFT]))


def _chest(canvas: Canvas, animal: Animal, rng: np.random.Generator) -> None:
    chin, half = animal.outline[:, 1].max(), animal.outline[:, 0].max()
    side = spline(np.array([(0.75 * half, 0.2), (1.0 * half, chin), (1.4 * half, chin + 1), (1.6 * half, chin + 3)]))
    body = np.vstack([side, mirror(side[::-1])])
    canvas.fill(tufted(body, rng, 0.04, 80), mix(animal.base, animal.dark, 0.25))
    canvas.soft(ellipse((0, chin + 0.9), (0.55 * half, 1.1)), mix(animal.light, animal.base, 0.35), 0.8, 0.2)
    canvas.soft(ellipse((0, chin), (0.85 * half, 0.4)), mix(animal.dark, (0, 0, 0), 0.3), 0.55, 0.12, within=body)
    starts = np.stack([rng.uniform(-half, half, 120), rng.uniform(chin - 0.1, chin + 1, 120)], axis=1)
    canvas.strokes(starts, starts + np.stack([0.12 * starts[:, 0], np.full(120, 0.22)], axis=1), rng, 0.18)


def _ears(canvas: Canvas, animal: Animal, mood: Mood, rng: np.random.Generator) -> None:
    x, y, size = animal.species.ear_at
    outer, inner = _ear_shapes(animal.ear, size)
    turn = mood.ears * (0.5 if animal.ear == "floppy" else 1.0)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    back = mix(animal.base, animal.dark, 0.7 if animal.ear == "floppy" else 0.35)
    hollow = mix(mix(animal.light, animal.dark, 0.35), (206, 140, 128), 0.3)
    for side in (1, -1):
        placed = [(spline(shape, closed=True) @ rotation + (x, y)) * (side, 1) for shape in (outer, inner)]
        canvas.fill(tufted(placed[0], rng, 0.02, 56), back)
        if animal.ear == "floppy":
            starts = scatter(placed[0], rng, 60)
            canvas.strokes(starts, starts + np.array([0.02 * side, 0.14]), rng, 0.18)
            continue
        canvas.soft(placed[1], hollow, 0.9, 0.035)
        starts = scatter(placed[1], rng, 26)
        canvas.strokes(starts, starts + np.array([0.03 * side, -0.16]), rng, 0.2)


def _ear_shapes(kind: str, size: float) -> tuple[Outline, Outline]:
    """Return control points of the right ear's outline and hollow about the middle of its root."""
    if kind == "round":
        return ellipse((0.06, -0.04), (size, size), num=10), ellipse((0.03, 0.0), (0.62 * size, 0.62 * size), num=10)
    if kind == "pointed":
        outer = (
            np.array([(-0.42, 0.1), (-0.22, -0.5), (0.16, -0.98), (0.24, -1.0), (0.38, -0.5), (0.44, 0.3), (0.1, 0.4)])
            * size
        )
        inner = np.array([(-0.2, 0.0), (-0.08, -0.4), (0.17, -0.8), (0.28, -0.4), (0.3, 0.1), (0.1, 0.25)]) * size
        return outer, inner
    outer = (
        np.array(
            [(-0.45, -0.08), (-0.1, -0.3), (0.3, -0.2), (0.6, 0.4), (0.66, 1.1), (0.4, 1.6), (0.08, 1.35), (-0.06, 0.6)]
        )
        * size
    )
    return outer, 0.6 * outer


def _head(canvas: Canvas, animal: Animal, rng: np.random.Generator) -> None:
    outline = animal.outline
    canvas.fill(tufted(outline, rng, 0.028, 130), animal.base)
    half, (nose, _, _) = outline[:, 0].max(), animal.species.nose
    for side in (1, -1):
        rim = np.array([(0.75, -0.9), (1.3, -0.4), (1.3, 1.2), (0.5, 1.9), (0.62, 1.3), (0.92, 0.7), (0.95, 0.0)]) * (
            side * half / 1.2,
            1,
        )
        canvas.soft(rim, animal.dark, 0.32, 0.14, within=outline)
    canvas.soft(ellipse((0, -0.6), (0.5, 0.3)), mix(animal.base, animal.light, 0.6), 0.4, 0.16)
    paint_markings(canvas, animal)
    for side in (1, -1):
        flank = np.array([(0.2, 0.1), (0.34, 0.3), (0.4, nose - 0.15), (0.26, nose)]) * (side, 1)
        canvas.soft(flank, mix(animal.dark, animal.base, 0.4), 0.35, 0.07, lift=0.1)
    canvas.soft(
        taper(np.array([(0, -0.1), (0, 0.5 * nose), (0, nose)]), 0.26, 0.6),
        mix(animal.base, animal.light, 0.5),
        0.45,
        0.06,
        lift=0.15,
    )
    starts = scatter(outline, rng, 800)
    center = np.array([0.0, nose - 0.35])
    away = (starts - center) / (np.linalg.norm(starts - center, axis=1, keepdims=True) + 0.3)
    canvas.strokes(starts, starts + away * rng.uniform(0.07, 0.16, (len(starts), 1)), rng, 0.15)


def _muzzle(canvas: Canvas, animal: Animal, mood: Mood) -> None:
    (x, y), (nose, _, height) = animal.species.mouth, animal.species.nose
    puff = mix(animal.base, animal.light, 0.8)
    dark = mix(animal.dark, (24, 14, 14), 0.7)
    middle = nose + height + 0.35 * (y - nose - height)
    canvas.soft(ellipse((0, y + 0.16), (0.75 * x, 0.2)), mix(puff, animal.dark, 0.12), 0.9, 0.04, lift=MOUTH_LIFT)
    lip = spline(np.array([(-x, y), (-0.5 * x, y + 0.05), (0, middle + 0.04), (0.5 * x, y + 0.05), (x, y)]))
    if mood.open > 0.05:
        drop = 0.05 + 0.3 * mood.open
        jaw = spline(np.array([(x, y), (0.6 * x, y + drop), (0, y + 1.15 * drop), (-0.6 * x, y + drop), (-x, y)]))
        canvas.fill(np.vstack([lip, jaw]), (74, 26, 30), MOUTH_LIFT)
        canvas.fill(ellipse((0, y + 0.78 * drop), (0.5 * x, 0.36 * drop)), (206, 104, 108), MOUTH_LIFT)
    for side in (1, -1):
        canvas.soft(
            ellipse((side * 0.52 * x, 0.5 * (middle + y) - 0.1), (0.56 * x, 0.62 * (y - nose)), side * 0.3),
            puff,
            0.9,
            0.035,
            lift=0.2,
        )
        if animal.species.whiskers:
            for row, column in np.ndindex(3, 3):
                dot = (side * x * (0.42 + 0.18 * column), middle - 0.06 + 0.08 * row)
                canvas.fill(ellipse(dot, (0.014, 0.014), num=6), dark, 0.2)
    canvas.line(lip, dark, 0.035, MOUTH_LIFT)
    canvas.line(np.array([(0, nose + 0.7 * height), (0, middle + 0.05)]), dark, 0.03, MOUTH_LIFT)


def _nose(canvas: Canvas, animal: Animal) -> None:
    """Paint the nose leather, balanced about its keypoint."""
    y, half, height = animal.species.nose
    right = np.array([(0.0, -0.9), (0.62, -0.88), (1.0, -0.4), (0.85, 0.3), (0.35, 0.95), (0.0, 1.1)]) * (half, height)
    outline = np.add(spline(np.vstack([right, mirror(right[-2:0:-1])]), closed=True), (0, y))
    canvas.fill(outline, animal.leather, NOSE_LIFT)
    canvas.line(outline, mix(animal.leather, (10, 6, 8), 0.5), 0.02, NOSE_LIFT, closed=True)
    shadow = mix(animal.leather, (6, 4, 6), 0.8)
    for side in (1, -1):
        canvas.fill(
            ellipse((side * 0.5 * half, y + 0.22 * height), (0.24 * half, 0.22 * height), side * 0.5), shadow, NOSE_LIFT
        )
    shine = ellipse((0, y - 0.5 * height), (0.5 * half, 0.2 * height))
    canvas.soft(shine, mix(animal.leather, (255, 250, 250), 0.55), 0.7, 0.025, NOSE_LIFT)


def _eye(canvas: Canvas, animal: Animal, mood: Mood, side: int) -> None:
    """Paint one eye: dark rim, iris filling the opening, pupil, highlight."""
    half, height = animal.species.eye
    shape = np.array([(1.0, -0.35), (0.35, -1.0), (-0.5, -0.75), (-1.0, 0.35), (-0.35, 1.0), (0.5, 0.75)])
    opening = spline(shape * (half, height * mood.lids), closed=True) * (side, 1) + (0.5 * side, 0)
    center = np.array([0.5 * side, 0.0])
    rim = (opening - center) * (1.22, 1.3) + center
    canvas.fill(rim, mix(animal.dark, (16, 10, 10), 0.75))
    corner = np.array(
        [np.add(center, (-0.9 * half * side, 0.3 * height)), np.add(center, (-1.5 * half * side, 0.85 * height))]
    )
    canvas.line(corner, mix(animal.dark, (16, 10, 10), 0.75), 0.06)
    canvas.fill(opening, animal.iris)
    canvas.soft(
        ellipse(np.add(center, (0, 0.45 * height)), (0.6 * half, 0.35 * height)),
        animal.iris * 1.3 + 14,
        0.55,
        0.03,
        within=opening,
    )
    canvas.soft(ellipse(center - (0, 0.9 * height), (half, 0.4 * height)), animal.iris * 0.3, 0.6, 0.03, within=opening)
    wide = 0.25 + 0.3 * mood.pupil
    round_radius = 0.42 * (0.8 + wide) * height
    slit_radii = (wide * 0.6 * half, 0.8 * height * mood.lids)
    radii = slit_radii if animal.species.slit else (round_radius, round_radius)
    hull, pupil = cv2.convexHull(opening.astype(np.float32)), ellipse(center, radii).astype(np.float32)
    _, inside = cv2.intersectConvexConvex(hull, pupil)
    canvas.fill(inside.reshape(-1, 2), (12, 10, 12))
    canvas.fill(ellipse(np.add(center, (0.25 * half, -0.35 * height)), (0.032, 0.032), num=12), (252, 252, 252))


def _whiskers(canvas: Canvas, animal: Animal, rng: np.random.Generator) -> None:
    x, y = animal.species.mouth
    pale = mix(animal.light, (255, 255, 255), 0.7)
    for side in (1, -1):
        for i in range(4):
            start = np.array([0.75 * x, y - 0.24 + 0.07 * i])
            reach = rng.uniform(0.9, 1.25)
            path = [start, np.add(start, (0.5 * reach, -0.14 + 0.08 * i)), np.add(start, (reach, -0.1 + 0.15 * i))]
            canvas.line(spline(np.array(path) * (side, 1)), pale, 0.012, 0.1)
