"""A person's 68 landmarks (iBUG 300-W order) in face units, and the outlines of ears and head that follow from them.

The mean face follows the proportions of the 300-W mean shape: eyes 1 apart, nose tip 0.6 and mouth 1.1 below them.
"""

import numpy as np

from rupantara.synthetic.human_traits import Expression, HumanTraits
from rupantara.synthetic.shapes import Outline, mirror

JAW = np.array(
    [
        (1.18, -0.04),
        (1.17, 0.28),
        (1.12, 0.60),
        (1.03, 0.90),
        (0.88, 1.18),
        (0.69, 1.42),
        (0.47, 1.61),
        (0.24, 1.73),
        (0.0, 1.78),
    ]
)
BROW = np.array([(0.92, -0.27), (0.78, -0.37), (0.60, -0.41), (0.42, -0.385), (0.25, -0.31)])
EYE = np.array([(0.225, 0.012), (0.10, -0.082), (-0.10, -0.082), (-0.225, 0.022), (-0.10, 0.065), (0.10, 0.065)])
"""The right-in-image eye about its centre, from the outer corner over the upper lid."""
BRIDGE = np.array([(0.0, 0.02), (0.0, 0.21), (0.0, 0.41), (0.0, 0.60)])
NOSTRILS = np.array([(0.23, 0.71), (0.12, 0.765), (0.0, 0.785)])
OUTER_TOP = np.array([(0.41, 1.12), (0.25, 1.045), (0.085, 1.005), (0.0, 1.02)])
OUTER_BOTTOM = np.array([(0.24, 1.225), (0.105, 1.275), (0.0, 1.285)])
INNER = np.array([(0.345, 1.12), (0.11, 1.105), (0.0, 1.11)])


def landmarks(traits: HumanTraits, expression: Expression) -> Outline:
    """Return the face's 68 points, [68, 2] in face units, before the head is turned."""
    jaw, brow, eye = _jaw(traits, expression), _brow(traits, expression), _eye(traits, expression)
    bridge = BRIDGE * (1, traits.nose_length)
    nostrils = NOSTRILS * (traits.nose_width, traits.nose_length)
    left_eye = mirror(eye)
    right_eye = eye[[3, 2, 1, 0, 5, 4]]
    return np.vstack(
        [
            mirror(jaw), jaw[-2::-1], mirror(brow), brow[::-1], bridge,
            mirror(nostrils), nostrils[-2::-1], left_eye, right_eye, _lips(traits, expression),
        ]
    )  # fmt: skip


def skull(traits: HumanTraits, jaw: Outline, grow: float = 0.0, num: int = 20) -> Outline:
    """Return the head's upper outline, grown by `grow`, from the right-in-image ear over the crown to the left one."""
    t = np.linspace(0, np.pi, num)
    half, base = jaw[16, 0], jaw[16, 1]
    x = np.sign(np.cos(t)) * np.abs(np.cos(t)) ** 0.85 * (half + 0.03 * np.sin(2 * t) ** 2 + grow)
    return np.stack([x, base - (1.62 * traits.jaw + grow) * np.sin(t)], axis=1)


def ear(traits: HumanTraits) -> Outline:
    """Return control points of the right-in-image ear."""
    x = 1.15 * traits.width
    return np.array(
        [
            (x, -0.14),
            (x + 0.12, -0.24),
            (x + 0.23, -0.15),
            (x + 0.23, 0.08),
            (x + 0.15, 0.34),
            (x + 0.06, 0.50),
            (x - 0.04, 0.44),
        ]
    )


def _jaw(traits: HumanTraits, expression: Expression) -> Outline:
    lower = np.clip((JAW[:, 1:] - 0.3) / 1.4, 0, 1)
    bulge = np.sin(np.pi * np.clip(lower, 0, 1)) * np.array([0.055, 0.035]) * traits.square
    drop = np.array([0.0, 0.07]) * expression.open * lower
    return JAW * (traits.width, traits.jaw) + bulge * (JAW > 0) + drop


def _brow(traits: HumanTraits, expression: Expression) -> Outline:
    lift = traits.brow_lift + 0.05 * expression.brows
    return BROW * (traits.eye_spacing, 1) - (0, lift)


def _eye(traits: HumanTraits, expression: Expression) -> Outline:
    lids = np.array([1.0, traits.eye_open * expression.lids])
    cos, sin = np.cos(traits.eye_tilt), np.sin(traits.eye_tilt)
    shape = EYE * traits.eye_size * lids @ np.array([[cos, -sin], [sin, cos]])
    return shape - shape.mean(axis=0) + (0.5 * traits.eye_spacing, 0)


def _lips(traits: HumanTraits, expression: Expression) -> Outline:
    """Return the 20 lip points; a smile widens and lifts the corners, an open mouth lowers the lower lip."""
    middle = INNER[2, 1]
    full = np.array([1.0, traits.lip_fullness])
    gap = 0.17 * expression.open
    top = (OUTER_TOP - (0, middle)) * full
    bottom = (OUTER_BOTTOM - (0, middle)) * full + (0, gap)
    inner_top = (INNER - (0, middle)) * full
    inner_bottom = inner_top[1:] * (1, 0.5) + (0, gap + 0.006)
    lips = np.vstack([mirror(top), top[-2::-1], bottom, mirror(bottom[-2::-1])])
    inner = np.vstack([mirror(inner_top), inner_top[-2::-1], inner_bottom, mirror(inner_bottom[-2::-1])])
    points = np.vstack([lips, inner])
    reach = np.abs(points[:, 0:1]) / 0.41
    points = points * (traits.mouth_width * (1 + 0.1 * expression.smile), 1)
    return np.add(points, (0, middle)) - np.array([0.0, 0.075]) * expression.smile * (reach**2 - 0.25)
