"""Draws one face of a species: identity from one stream of random numbers, the picture of it from another."""

from dataclasses import dataclass

import numpy as np

from rupantara.synthetic.animal import paint_animal
from rupantara.synthetic.animal_traits import random_animal, random_mood
from rupantara.synthetic.canvas import Canvas
from rupantara.synthetic.human import paint_human
from rupantara.synthetic.human_traits import random_expression, random_traits
from rupantara.synthetic.scene import lit, random_background, random_light, random_view
from rupantara.synthetic.species import SPECIES

HUMAN = "human"


@dataclass(frozen=True)
class DrawnFace:
    """A drawn photograph of a face, not aligned, with its exact points; pixel centres lie at whole numbers."""

    image: np.ndarray
    """uint8 RGB [size, size, 3]."""
    keypoints: np.ndarray
    """float32 [5, 2], x y in pixels: left-in-image eye, right-in-image eye, nose tip, left and right mouth corner."""
    landmarks: np.ndarray | None
    """float32 [68, 2], x y in pixels, in iBUG 300-W order; None for animals."""
    domain: str
    """"human" or "animal"."""
    species: str
    """"human" or one of SPECIES."""
    identity: str
    """Name of the one drawn, as "drawn_human_00012"."""


def draw_face(species: str, identity: int, picture: int = 0, size: int = 320, seed: int = 0) -> DrawnFace:
    """Draw picture number `picture` of individual number `identity`; equal arguments give equal bytes.

    Shape and colours follow from (seed, species, identity); pose, light, background and expression from those
    and `picture`.
    """
    if species not in (HUMAN, *SPECIES):
        raise ValueError(f"species should be 'human' or one of {SPECIES}, found {species!r}")
    if min(identity, picture, seed) < 0 or size < 32:
        raise ValueError(
            f"identity, picture and seed should be >= 0 and size >= 32, found {identity, picture, seed, size}"
        )
    index = (HUMAN, *SPECIES).index(species)
    # numpy pads a seed with zeros, so that [..., identity] and [..., identity, 0] would be one stream.
    who = np.random.default_rng([seed, index, identity, 0])
    what = np.random.default_rng([seed, index, identity, picture + 1])
    draw = _draw_human if species == HUMAN else _draw_animal
    image, keypoints, landmarks = draw(species, who, what, size)
    domain = HUMAN if species == HUMAN else "animal"
    return DrawnFace(image, keypoints, landmarks, domain, species, f"drawn_{species}_{identity:05d}")


def keypoints_of(landmarks: np.ndarray) -> np.ndarray:
    """Return the five keypoints of 68 landmarks: the eyes' means, the nose tip, the mouth's outer corners."""
    eyes = [landmarks[36:42].mean(axis=0), landmarks[42:48].mean(axis=0)]
    return np.stack([*eyes, landmarks[30], landmarks[48], landmarks[54]])


def _draw_human(
    species: str, who: np.random.Generator, what: np.random.Generator, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    traits, expression = random_traits(who), random_expression(what)
    view = random_view(what, size, extent=3.5, middle=0.08, head=(1.2 * traits.width, 1.8))
    light = random_light(what)
    canvas = Canvas(view, random_background(what, size))
    landmarks = paint_human(canvas, traits, expression).astype(np.float32)
    return lit(canvas.finish(), view, light, what), keypoints_of(landmarks), landmarks


def _draw_animal(
    species: str, who: np.random.Generator, what: np.random.Generator, size: int
) -> tuple[np.ndarray, np.ndarray, None]:
    animal, mood = random_animal(species, who), random_mood(what)
    top, chin, half = animal.outline[:, 1].min(), animal.outline[:, 1].max(), animal.outline[:, 0].max()
    room = 1.3 if "mane" in animal.markings else 1.12
    view = random_view(what, size, extent=(chin - top) * room, middle=(chin + top) / 2, head=(half, (chin - top) / 2))
    light = random_light(what)
    canvas = Canvas(view, random_background(what, size))
    keypoints = paint_animal(canvas, animal, mood).astype(np.float32)
    return lit(canvas.finish(), view, light, what), keypoints, None
