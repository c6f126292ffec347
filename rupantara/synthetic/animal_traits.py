"""How one animal differs from its species, and what one picture shows of it."""

from dataclasses import dataclass, replace

import numpy as np

from rupantara.synthetic.canvas import Colour
from rupantara.synthetic.shapes import Outline, both_sides, spline
from rupantara.synthetic.species import TABLE, Species


@dataclass(frozen=True)
class Animal:
    """An individual."""

    species: Species
    """The species' measures, already varied for this individual."""
    outline: Outline
    """The whole head's outline."""
    ear: str
    base: Colour
    light: Colour
    dark: Colour
    iris: Colour
    leather: Colour
    markings: tuple[str, ...]
    pattern_seed: int
    """Seed of the pattern of its fur."""


@dataclass(frozen=True)
class Mood:
    """What the face does in one picture."""

    open: float
    """How far the mouth is open, 0 to 1."""
    pupil: float
    """Width of the pupil, 0 narrow to 1 wide."""
    lids: float
    """Factor on the eyes' opening."""
    ears: float
    """Turn of the ears outwards, in radians."""


def random_animal(name: str, rng: np.random.Generator) -> Animal:
    """Draw an individual of the species called `name`."""
    kind = TABLE[name]
    width, length = rng.uniform(0.93, 1.07), rng.uniform(0.95, 1.06)
    y, half, height = kind.nose
    kind = replace(
        kind,
        outline=tuple((x * width, y * length) for x, y in kind.outline),
        ear_at=(kind.ear_at[0] * width, kind.ear_at[1] * length, kind.ear_at[2] * rng.uniform(0.85, 1.15)),
        eye=(kind.eye[0] * rng.uniform(0.92, 1.12), kind.eye[1] * rng.uniform(0.88, 1.12)),
        nose=(y * length, half * rng.uniform(0.85, 1.15), height * rng.uniform(0.9, 1.1)),
        mouth=(kind.mouth[0] * rng.uniform(0.9, 1.1), kind.mouth[1] * length),
    )
    base, light, dark = (
        np.array(kind.coats[rng.integers(len(kind.coats))]) + rng.normal(0, 6, (3, 1)) + rng.normal(0, 3, (3, 3))
    )
    return Animal(
        species=kind,
        outline=spline(both_sides(np.array(kind.outline)), closed=True),
        ear=kind.ears[rng.integers(len(kind.ears))],
        base=base,
        light=light,
        dark=dark,
        iris=np.array(kind.irises[rng.integers(len(kind.irises))]) * rng.uniform(0.85, 1.15),
        leather=np.array(kind.leathers[rng.integers(len(kind.leathers))]) + rng.normal(0, 4),
        markings=kind.markings[rng.integers(len(kind.markings))],
        pattern_seed=int(rng.integers(2**31)),
    )


def random_mood(rng: np.random.Generator) -> Mood:
    """Draw a mood, the mouth mostly closed."""
    return Mood(
        open=float(max(0.0, rng.uniform(-1.4, 0.9))),
        pupil=float(rng.uniform(0.1, 0.9)),
        lids=float(rng.uniform(0.85, 1.1)),
        ears=float(rng.uniform(-0.12, 0.2)),
    )
