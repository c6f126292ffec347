"""Paints a drawn person; every point comes from the 68 landmarks and the traits."""

import cv2
import numpy as np

from rupantara.synthetic.canvas import Canvas, Colour, mix
from rupantara.synthetic.hair import brow_hairs, paint_back_hair, paint_beard, paint_front_hair
from rupantara.synthetic.human_shape import ear, landmarks, skull
from rupantara.synthetic.human_traits import Expression, HumanTraits
from rupantara.synthetic.shapes import Outline, ellipse, mirror, scatter, spline, taper

NOSE_LIFT = {27: 0.0, 28: 0.08, 29: 0.17, 30: 0.24, 31: 0.06, 32: 0.12, 33: 0.15, 34: 0.12, 35: 0.06}
"""How far the nose's landmarks stand out of the face, in face units."""
TIP_LIFT = NOSE_LIFT[30]


def paint_human(canvas: Canvas, traits: HumanTraits, expression: Expression) -> Outline:
    """Paint a person and return the 68 landmarks in picture pixels."""
    points = landmarks(traits, expression)
    paint_back_hair(canvas, traits, points[:17])
    _body(canvas, traits, points)
    _head(canvas, traits, points)
    _nose(canvas, traits, points)
    paint_beard(canvas, traits, points)
    _mouth(canvas, traits, points)
    for eye, brow in ((points[36:42], points[17:22]), (points[[45, 44, 43, 42, 47, 46]], points[26:21:-1])):
        _eye(canvas, traits, expression, eye)
        _brow(canvas, traits, brow)
    _age(canvas, traits, points)
    paint_front_hair(canvas, traits, points[:17])
    _glasses(canvas, traits, points)
    lifts = np.zeros(68)
    lifts[list(NOSE_LIFT)] = list(NOSE_LIFT.values())
    return canvas.view.place(points, lifts)


def shadow_of(skin: Colour, share: float) -> Colour:
    """Return skin in shadow: darker and redder."""
    return mix(skin, (70, 22, 14), share)


def _body(canvas: Canvas, traits: HumanTraits, points: Outline) -> None:
    chin = points[8, 1]
    half = 0.66 * traits.width
    neck = spline([(half, 0.9), (0.95 * half, chin), (half, chin + 0.35), (1.5 * half, chin + 0.7)])
    shoulders = spline(
        [(0.0, chin + 0.75), (0.6, chin + 0.42), (1.25, chin + 0.62), (2.2, chin + 0.95), (2.7, chin + 2), (3, 6)]
    )
    canvas.fill(np.vstack([shoulders, mirror(shoulders[::-1])]), traits.clothes)
    throat = np.vstack([neck, [(0.0, chin + 0.9)], mirror(neck[::-1])])
    canvas.fill(throat, shadow_of(traits.skin, 0.14))
    canvas.soft(
        ellipse((0, chin - 0.05), (0.8 * traits.width, 0.34)), shadow_of(traits.skin, 0.5), 0.6, 0.1, within=throat
    )
    canvas.line(
        np.vstack([neck[-7:], [(0.0, chin + 0.92)], mirror(neck[:-8:-1])]), mix(traits.clothes, (0, 0, 0), 0.3), 0.06
    )


def _head(canvas: Canvas, traits: HumanTraits, points: Outline) -> None:
    skin = traits.skin
    for side in (ear(traits), mirror(ear(traits))):
        outline = spline(side, closed=True)
        canvas.fill(outline, mix(skin, (190, 70, 60), 0.1))
        inner = (outline - outline.mean(axis=0)) * 0.55 + outline.mean(axis=0)
        canvas.soft(inner, shadow_of(skin, 0.4), 0.6, 0.03)
    outline = np.vstack([spline(points[:17]), skull(traits, points[:17])])
    canvas.fill(outline, skin)
    edge = shadow_of(skin, 0.3)
    for side in (1, -1):
        rim = np.array([(1.3, -0.6), (1.3, 1.2), (0.5, 2.0), (0.62, 1.45), (0.95, 0.75), (1.06, 0.1)]) * (
            side * traits.width,
            traits.jaw,
        )
        canvas.soft(rim, edge, 0.55, 0.16, within=outline)
        blush = mix(skin, (214, 84, 74), 0.3)
        canvas.soft(ellipse((side * 0.68 * traits.width, 0.66), (0.26, 0.2)), blush, 0.6, 0.14)
        canvas.soft(ellipse((side * 0.62, 0.42), (0.22, 0.1)), mix(skin, (255, 246, 234), 0.35), 0.5, 0.09)
        canvas.soft(ellipse((side * 0.42 * traits.eye_spacing, -0.1), (0.32, 0.16)), shadow_of(skin, 0.3), 0.5, 0.08)
    canvas.soft(ellipse((0, -0.8), (0.6, 0.26)), mix(skin, (255, 248, 238), 0.3), 0.5, 0.2)
    canvas.soft(ellipse((0, points[8, 1] - 0.2), (0.24, 0.12)), mix(skin, (255, 246, 234), 0.25), 0.5, 0.08)
    if traits.freckles:
        _freckles(canvas, traits)


def _freckles(canvas: Canvas, traits: HumanTraits) -> None:
    rng = np.random.default_rng([traits.pattern_seed, 4])
    for center in scatter(ellipse((0, 0.42), (0.85, 0.28)), rng, 40):
        canvas.fill(ellipse(center, (0.016, 0.016), num=6), shadow_of(traits.skin, rng.uniform(0.12, 0.3)))


def _nose(canvas: Canvas, traits: HumanTraits, points: Outline) -> None:
    skin, (tip, base) = traits.skin, (points[30], points[33])
    half = points[35, 0]
    for side in (1, -1):
        flank = [
            (side * 0.1, 0.05),
            (side * 0.15, 0.35),
            (side * (half + 0.02), tip[1] + 0.08),
            (side * 0.1, tip[1] + 0.02),
            (side * 0.06, 0.3),
        ]
        canvas.soft(np.array(flank), shadow_of(skin, 0.38), 0.5, 0.05, lift=0.1)
        wing = [(side * half, tip[1] - 0.03), (side * (half + 0.035), tip[1] + 0.06), (side * half, points[35, 1])]
        canvas.crease(spline(np.array(wing)), 0.2, 0.03, lift=0.06)
        canvas.soft(
            ellipse((side * 0.55 * half, base[1] - 0.03), (0.3 * half, 0.03)),
            shadow_of(skin, 0.85),
            0.95,
            0.014,
            lift=0.12,
        )
    canvas.soft(ellipse(np.add(base, (0, 0.02)), (half * 0.95, 0.045)), shadow_of(skin, 0.5), 0.6, 0.035, lift=0.08)
    bright = mix(skin, (255, 250, 242), 0.5)
    canvas.soft(taper(points[27:31] - (0, 0.02), 0.13, 0.6), bright, 0.34, 0.05, lift=0.17)
    canvas.soft(ellipse(tip, (0.085, 0.07)), bright, 0.6, 0.04, lift=TIP_LIFT)


def _mouth(canvas: Canvas, traits: HumanTraits, points: Outline) -> None:
    lips, outer, inner = traits.lips, points[48:60], points[60:68]
    upper = np.vstack([spline(outer[:7]), spline(inner[4::-1])])
    lower = np.vstack([spline(outer[[6, 7, 8, 9, 10, 11, 0]]), spline(inner[[0, 7, 6, 5, 4]])])
    gap = np.vstack([spline(inner[:5]), spline(inner[[4, 5, 6, 7, 0]])])
    canvas.soft(ellipse((0, points[57, 1] + 0.09), (0.24, 0.05)), shadow_of(traits.skin, 0.4), 0.6, 0.05)
    canvas.fill(gap, (66, 20, 22))
    height = inner[6, 1] - inner[2, 1]
    if height > 0.05:
        teeth = np.vstack([spline(inner[:5]), spline(np.add(inner[4::-1], (0, 0.55 * height)))])
        canvas.fill((teeth - inner[2]) * (0.82, 1) + inner[2], (236, 230, 220))
    canvas.fill(upper, mix(lips, (50, 8, 12), 0.16))
    canvas.fill(lower, lips)
    shine = (points[57] + inner[6]) / 2 - (0, 0.01)
    canvas.soft(ellipse(shine, (0.14, 0.025)), mix(lips, (255, 236, 230), 0.5), 0.5, 0.03)
    canvas.line(spline(inner[:5]), mix(lips, (30, 4, 6), 0.72), 0.022)


def _eye(canvas: Canvas, traits: HumanTraits, expression: Expression, eye: Outline) -> None:
    """Paint one eye from its six points: outer corner, upper lid, inner corner, lower lid."""
    center = eye.mean(axis=0)
    upper, lower = spline(eye[:4]), spline(eye[[3, 4, 5, 0]])
    opening = np.vstack([upper, lower[1:-1]])
    canvas.fill(opening, traits.sclera)
    canvas.soft(np.vstack([upper, np.add(upper[::-1], (0, 0.05))]), (110, 96, 92), 0.5, 0.02, within=opening)
    iris = center + expression.gaze
    radius = 0.105 * traits.eye_size
    for scale, colour in ((1.0, traits.iris * 0.45), (0.84, traits.iris), (0.42, np.full(3, 14.0))):
        disc = _overlap(opening, ellipse(iris, (scale * radius, scale * radius)))
        if len(disc) > 2:
            canvas.fill(disc, colour)
    canvas.soft(
        ellipse(np.add(iris, (0, 0.5 * radius)), (0.5 * radius, 0.3 * radius)),
        traits.iris * 1.5,
        0.4,
        0.012,
        within=opening,
    )
    canvas.fill(ellipse(np.add(iris, (0.035, -0.035)), (0.02, 0.02), num=10), (252, 252, 252))
    lash = shadow_of(mix(traits.hair, (20, 12, 10), 0.7), 0.2)
    canvas.line(upper, lash, 0.032)
    canvas.line(lower, shadow_of(traits.skin, 0.45), 0.012)
    canvas.crease(upper * (1, 1) - (0, 0.055), 0.3, 0.02)


def _overlap(a: Outline, b: Outline) -> Outline:
    _, polygon = cv2.intersectConvexConvex(cv2.convexHull(a.astype(np.float32)), b.astype(np.float32))
    return np.zeros((0, 2)) if polygon is None else polygon.reshape(-1, 2)


def _brow(canvas: Canvas, traits: HumanTraits, brow: Outline) -> None:
    rng = np.random.default_rng([traits.pattern_seed, 5])
    outline = taper(brow[::-1], 0.115 * traits.brow_thickness, 1.0)
    brow_hairs(canvas, outline, mix(mix(traits.hair, (40, 28, 22), 0.35), traits.skin, 0.12), rng)


def _age(canvas: Canvas, traits: HumanTraits, points: Outline) -> None:
    deep = 0.1 + 0.4 * max(0.0, traits.age - 0.35)
    nose, corner = points[35], points[54]
    fold = spline(
        np.array([np.add(nose, (0.06, -0.04)), (nose + corner) / 2 + (0.14, 0.0), np.add(corner, (0.11, -0.03))])
    )
    bag = spline(np.array([(0.32, 0.15), (0.5, 0.2), (0.68, 0.16)]) * (traits.eye_spacing, 1))
    for side in (1, -1):
        canvas.crease(fold * (side, 1), 0.8 * deep, 0.022)
        canvas.crease(bag * (side, 1), 0.7 * deep, 0.02)
    if traits.age < 0.55:
        return
    for y in (-0.62, -0.74, -0.86):
        canvas.crease(
            spline(np.array([(-0.5, y + 0.02), (-0.2, y - 0.01), (0.15, y), (0.48, y + 0.02)])), 0.45 * deep, 0.018
        )
    for side in (1, -1):
        for dy in (-0.06, 0.02, 0.1):
            foot = np.array([(0.80, 0.4 * dy), (0.95, 1.1 * dy)]) * (side, 1)
            canvas.crease(foot, 0.6 * deep, 0.016)


def _glasses(canvas: Canvas, traits: HumanTraits, points: Outline) -> None:
    if traits.glasses == "none":
        return
    frame = mix(traits.clothes, (20, 18, 20), 0.8)
    for center, side in ((points[36:42].mean(axis=0), -1), (points[42:48].mean(axis=0), 1)):
        t = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        power = 1.0 if traits.glasses == "round" else 0.5
        lens = np.stack(
            [np.sign(np.cos(t)) * np.abs(np.cos(t)) ** power, np.sign(np.sin(t)) * np.abs(np.sin(t)) ** power], axis=1
        )
        lens = lens * ((0.35, 0.31) if traits.glasses == "round" else (0.38, 0.25)) + center + (0, 0.04)
        canvas.soft(lens, (235, 242, 250), 0.1, 0.02, lift=0.1)
        canvas.line(lens, frame, 0.038, lift=0.1, closed=True)
        canvas.line(np.array([(center[0] + side * 0.36, -0.02), (side * 1.17 * traits.width, -0.1)]), frame, 0.038)
    canvas.line(spline(np.array([(-0.16, 0.03), (0, -0.03), (0.16, 0.03)])), frame, 0.038, lift=0.12)
