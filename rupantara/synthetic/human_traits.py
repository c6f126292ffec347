"""Who a drawn person is (traits) and what one picture shows of them (expression)."""

from dataclasses import dataclass

import numpy as np

from rupantara.synthetic.canvas import Colour, mix

SKINS = np.array(
    [
        (248, 222, 203),
        (238, 203, 176),
        (226, 184, 150),
        (206, 156, 118),
        (178, 124, 86),
        (143, 94, 62),
        (112, 72, 49),
        (86, 56, 41),
    ]
)
"""Skin from the lightest to the darkest, close to the Monk scale's steps."""
HAIRS = {
    "black": (30, 26, 27),
    "dark brown": (56, 38, 29),
    "brown": (96, 64, 42),
    "auburn": (122, 60, 36),
    "red": (170, 88, 44),
    "blond": (204, 168, 108),
}
IRISES = {
    "brown": (92, 58, 34),
    "hazel": (126, 98, 52),
    "green": (88, 122, 84),
    "blue": (84, 130, 172),
    "grey": (122, 136, 146),
}
STYLES = ("bald", "short", "parted", "fringe", "bun", "afro", "long", "bob")
BEARDS = ("none", "stubble", "full", "goatee", "moustache")


@dataclass(frozen=True)
class HumanTraits:
    """A person's shape and colours; lengths are factors about 1 of the mean face."""

    width: float
    jaw: float
    square: float
    """How square the jaw is, -1 to 1."""
    eye_size: float
    eye_open: float
    eye_tilt: float
    eye_spacing: float
    nose_width: float
    nose_length: float
    mouth_width: float
    lip_fullness: float
    brow_thickness: float
    brow_lift: float
    age: float
    """0 young to 1 old."""
    skin: Colour
    lips: Colour
    hair: Colour
    iris: Colour
    sclera: Colour
    clothes: Colour
    style: str
    beard: str
    glasses: str
    """"none", "round" or "square"."""
    freckles: bool
    pattern_seed: int
    """Seed of the small things that stay with the person: hairs, freckles, parting."""


@dataclass(frozen=True)
class Expression:
    """What the face does in one picture."""

    smile: float
    """-0.3 to 1."""
    open: float
    """How far the mouth is open, 0 to 1."""
    brows: float
    """How far the brows are raised, -1 to 1."""
    lids: float
    """Factor on the eyes' opening."""
    gaze: tuple[float, float]
    """Shift of the irises in face units."""


def random_traits(rng: np.random.Generator) -> HumanTraits:
    """Draw a person."""
    tone = rng.uniform(0, len(SKINS) - 1)
    skin = mix(SKINS[int(tone)], SKINS[min(int(tone) + 1, len(SKINS) - 1)], tone % 1) + rng.normal(0, 3, 3)
    age = float(rng.beta(1.4, 1.8))
    style = str(rng.choice(STYLES, p=(0.08, 0.22, 0.16, 0.12, 0.1, 0.08, 0.14, 0.1)))
    bearded = style not in ("bun", "long", "bob") and rng.random() < 0.55
    lips = mix(mix(skin, (176, 58, 66), rng.uniform(0.3, 0.55)), (90, 30, 34), 0.08 + 0.03 * tone)
    return HumanTraits(
        **_random_shape(rng),
        age=age,
        skin=skin,
        lips=lips,
        hair=_random_hair(rng, tone, age),
        iris=_random_iris(rng, tone),
        sclera=np.array([238.0, 234.0, 228.0]) - rng.uniform(0, 14),
        clothes=rng.uniform(30, 220, 3),
        style=style,
        beard=str(rng.choice(BEARDS[1:])) if bearded else "none",
        glasses=str(rng.choice(["none", "round", "square"], p=(0.76, 0.12, 0.12))),
        freckles=bool(tone < 2.5 and rng.random() < 0.25),
        pattern_seed=int(rng.integers(2**31)),
    )


def random_expression(rng: np.random.Generator) -> Expression:
    """Draw an expression, mostly calm or smiling."""
    return Expression(
        smile=float(rng.uniform(-0.25, 0.9)),
        open=float(max(0.0, rng.uniform(-1.1, 0.9))),
        brows=float(rng.uniform(-0.7, 0.9)),
        lids=float(rng.uniform(0.85, 1.12)),
        gaze=(float(rng.uniform(-0.035, 0.035)), float(rng.uniform(-0.012, 0.012))),
    )


def _random_shape(rng: np.random.Generator) -> dict[str, float]:
    spread = {
        "width": (0.93, 1.07),
        "jaw": (0.94, 1.06),
        "square": (-0.9, 0.9),
        "eye_size": (0.94, 1.1),
        "eye_open": (0.85, 1.25),
        "eye_tilt": (-0.03, 0.13),
        "eye_spacing": (0.97, 1.04),
        "nose_width": (0.82, 1.25),
        "nose_length": (0.92, 1.07),
        "mouth_width": (0.9, 1.12),
        "lip_fullness": (0.65, 1.4),
        "brow_thickness": (0.6, 1.4),
        "brow_lift": (-0.05, 0.05),
    }
    return {name: float(rng.uniform(low, high)) for name, (low, high) in spread.items()}


def _random_hair(rng: np.random.Generator, tone: float, age: float) -> Colour:
    names = list(HAIRS)
    weights = np.array([1, 1, 1, 0.5, 0.35, 0.9]) if tone < 3 else np.array([1, 0.7, 0.12, 0.04, 0.01, 0.02])
    colour = np.array(HAIRS[names[rng.choice(len(names), p=weights / weights.sum())]], np.float64)
    grey = float(np.clip((age - 0.55) * 2.6, 0, 0.95)) * rng.uniform(0.4, 1.0)
    return mix(colour, np.full(3, rng.uniform(150, 212)), grey) + rng.normal(0, 4, 3)


def _random_iris(rng: np.random.Generator, tone: float) -> Colour:
    names = list(IRISES)
    weights = np.array([1, 0.6, 0.6, 1, 0.5]) if tone < 3 else np.array([1, 0.15, 0.03, 0.02, 0.02])
    colour = np.array(IRISES[names[rng.choice(len(names), p=weights / weights.sum())]], np.float64)
    return colour * rng.uniform(0.75, 1.15)
