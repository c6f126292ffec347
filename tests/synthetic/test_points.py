"""Points lie where things are drawn: recolour one part, and the pixels that change must surround its point."""

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest

from rupantara.synthetic import SPECIES
from rupantara.synthetic.animal import paint_animal
from rupantara.synthetic.animal_traits import Animal, random_animal, random_mood
from rupantara.synthetic.canvas import Canvas, View
from rupantara.synthetic.faces import keypoints_of
from rupantara.synthetic.human import paint_human
from rupantara.synthetic.human_traits import Expression, HumanTraits, random_expression, random_traits

SIZE = 320
RED, BLUE = np.array([255.0, 0, 0]), np.array([0.0, 0, 255])


def _view(rng: np.random.Generator, yaw: float = 0.0) -> View:
    origin = (160 + rng.uniform(-9, 9), 140 + rng.uniform(-9, 9))
    return View(58.0, float(rng.uniform(-0.2, 0.2)), origin, yaw, 0.0)


def _changed(paint: Callable[[Canvas, np.ndarray], np.ndarray], view: View) -> tuple[np.ndarray, np.ndarray]:
    """Return x y of the pixels that differ between a red and a blue part, and the painted points."""
    pictures = []
    for colour in (RED, BLUE):
        canvas = Canvas(view, np.zeros((SIZE, SIZE, 3), np.uint8))
        points = paint(canvas, colour)
        pictures.append(canvas.finish())
    y, x = np.nonzero(np.abs(pictures[0] - pictures[1]).sum(axis=2) > 100)
    return np.stack([x, y], axis=1), points


def _centroid(pixels: np.ndarray) -> np.ndarray:
    """Return the centroid of the pixels' convex hull, so that a pupil or a highlight inside does not count."""
    moments = cv2.moments(cv2.convexHull(pixels.astype(np.int32)))
    return np.array([moments["m10"], moments["m01"]]) / moments["m00"]


def _person(seed: int) -> tuple[np.random.Generator, HumanTraits, Expression]:
    rng = np.random.default_rng(seed)
    traits = replace(random_traits(rng), glasses="none", style="bald", beard="none")
    return rng, traits, random_expression(rng)


@pytest.mark.parametrize("seed", range(8))
def test_human_eyes_are_drawn_about_their_keypoints(seed: int) -> None:
    rng, traits, expression = _person(seed)
    view = _view(rng, rng.uniform(-0.24, 0.24))
    pixels, points = _changed(lambda c, rgb: paint_human(c, replace(traits, sclera=rgb, iris=rgb), expression), view)
    left, right = keypoints_of(points)[:2]
    nearer_left = np.linalg.norm(pixels - left, axis=1) < np.linalg.norm(pixels - right, axis=1)
    assert np.linalg.norm(_centroid(pixels[nearer_left]) - left) < 1
    assert np.linalg.norm(_centroid(pixels[~nearer_left]) - right) < 1


@pytest.mark.parametrize("seed", range(8))
def test_human_lips_end_at_the_mouth_corners(seed: int) -> None:
    rng, traits, expression = _person(seed)
    pixels, points = _changed(lambda c, rgb: paint_human(c, replace(traits, lips=rgb), expression), _view(rng, 0.15))
    axis = (points[54] - points[48]) / np.linalg.norm(points[54] - points[48])
    along = pixels @ axis
    assert abs(along.min() - points[48] @ axis) < 2
    assert abs(along.max() - points[54] @ axis) < 2
    down = np.array([-axis[1], axis[0]])
    assert abs((pixels @ down).max() - max(points[[56, 57, 58]] @ down)) < 2


@pytest.mark.parametrize("seed", range(4))
def test_human_skin_ends_at_the_jaw_line(seed: int) -> None:
    rng, traits, expression = _person(seed)
    view = _view(rng)
    pixels, points = _changed(lambda c, rgb: paint_human(c, replace(traits, skin=rgb), expression), view)
    mask = np.zeros((SIZE, SIZE), bool)
    mask[pixels[:, 1], pixels[:, 0]] = True
    for index in (2, 3, 4, 12, 13, 14):
        inwards = points[30] - points[index]
        x, y = np.round(points[index] + 4 * inwards / np.linalg.norm(inwards)).astype(int)
        assert mask[y, x]
        x, y = np.round(points[index] - 4 * inwards / np.linalg.norm(inwards)).astype(int)
        assert index in (4, 12) or not mask[y, x]


def _individual(species: str, seed: int) -> tuple[np.random.Generator, Animal]:
    rng = np.random.default_rng(seed)
    return rng, replace(random_animal(species, rng), ear="round")


@pytest.mark.parametrize("species", SPECIES)
@pytest.mark.parametrize("yaw", [-0.2, 0.0, 0.2])
def test_animal_eyes_are_drawn_about_their_keypoints(species: str, yaw: float) -> None:
    rng, animal = _individual(species, 11)
    mood, view = random_mood(rng), _view(rng, yaw)
    pixels, points = _changed(lambda c, rgb: paint_animal(c, replace(animal, iris=rgb), mood), view)
    left, right = points[:2]
    nearer_left = np.linalg.norm(pixels - left, axis=1) < np.linalg.norm(pixels - right, axis=1)
    assert np.linalg.norm(_centroid(pixels[nearer_left]) - left) < 1
    assert np.linalg.norm(_centroid(pixels[~nearer_left]) - right) < 1


@pytest.mark.parametrize("species", SPECIES)
@pytest.mark.parametrize("yaw", [-0.2, 0.0, 0.2])
def test_animal_nose_leather_surrounds_its_keypoint(species: str, yaw: float) -> None:
    rng, animal = _individual(species, 12)
    mood, view = random_mood(rng), _view(rng, yaw)
    pixels, points = _changed(lambda c, rgb: paint_animal(c, replace(animal, leather=rgb), mood), view)
    assert np.linalg.norm(_centroid(pixels) - points[2]) < 1


def test_a_turned_head_carries_the_nose_past_the_eyes() -> None:
    _, traits, expression = _person(3)
    black = np.zeros((SIZE, SIZE, 3), np.uint8)
    noses = []
    for yaw in (-0.2, 0.0, 0.2):
        points = keypoints_of(paint_human(Canvas(View(58.0, 0.0, (160, 140), yaw), black), traits, expression))
        noses.append(points[2, 0] - points[:2, 0].mean())
    assert noses[0] < -0.5 < noses[1] < 0.5 < noses[2]
