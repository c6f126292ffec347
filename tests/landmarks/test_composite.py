"""A composite: amount 0 is the person to the bit, what is not chosen stays, a background never comes along, a mirror mirrors."""

import itertools
from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest

from rupantara.errors import UserError
from rupantara.imaging import relight
from rupantara.landmarks import align
from rupantara.landmarks.composite import DonorShare, composite
from rupantara.landmarks.donor import Donor, prepare
from rupantara.landmarks.layout import layout_of
from rupantara.landmarks.mean_face import FRACTIONS
from rupantara.landmarks.regions import REGIONS
from rupantara.synthetic import draw_face

SIZE = 256


@cache
def person(number: int = 0) -> tuple[np.ndarray, np.ndarray]:
    drawn = draw_face("human", number)
    cut = align.align(drawn.image, drawn.keypoints, "human", SIZE)
    assert drawn.landmarks is not None
    return cut.crop, align.transform_points(drawn.landmarks, cut.transform)


def six(five: np.ndarray) -> np.ndarray:
    """Eyes, nose, mouth of five keypoints; ear tips where a fox has them."""
    across = five[1] - five[0]
    up, middle = np.array([across[1], -across[0]]), five[:2].mean(0)
    ears = [middle + 1.45 * up - 1.05 * across, middle + 1.45 * up + 1.05 * across]
    return np.stack([five[0], five[1], five[2], five[3:5].mean(0), *ears])


@cache
def animal(species: str = "fox") -> tuple[np.ndarray, np.ndarray]:
    drawn = draw_face(species, 1)
    cut = align.align(drawn.image, drawn.keypoints, "animal", SIZE)
    return cut.crop, six(align.transform_points(drawn.keypoints, cut.transform))


@cache
def donor(species: str = "fox") -> Donor:
    return prepare(*animal(species))


def everywhere(amount: float) -> dict[str, float]:
    return dict.fromkeys(REGIONS, amount)


def change(made: np.ndarray, of: np.ndarray) -> np.ndarray:
    return np.abs(made.astype(int) - of).max(-1)


def test_amount_0_returns_the_person_to_the_bit() -> None:
    picture, points = person()
    assert np.array_equal(composite(picture, points, [DonorShare(donor(), everywhere(0.0))]), picture)
    assert np.array_equal(composite(picture, points, []), picture)


def test_equal_arguments_give_equal_bytes_and_leave_their_pictures_alone() -> None:
    picture, points = person()
    before = picture.copy()
    first, second = (composite(picture, points, [DonorShare(donor(), everywhere(0.7))]) for _ in range(2))
    assert np.array_equal(first, second) and np.array_equal(picture, before)


@pytest.mark.parametrize(("size", "levels"), [(64, 12), (128, 6), (256, 6)])
def test_no_edge_shows_where_the_mask_ends(size: int, levels: int) -> None:
    drawn, fox = draw_face("human", 0), draw_face("tiger", 1)
    cut, lent = (
        align.align(drawn.image, drawn.keypoints, "human", size),
        align.align(fox.image, fox.keypoints, "animal", size),
    )
    assert drawn.landmarks is not None
    points = align.transform_points(drawn.landmarks, cut.transform)
    part = DonorShare(prepare(lent.crop, six(align.transform_points(fox.keypoints, lent.transform))), everywhere(1.0))
    made = composite(cut.crop, points, [replace(part, donor=replace(part.donor, ears=None))])
    changed = change(made, cut.crop)
    far = cv2.dilate((changed > 0).astype(np.uint8), np.ones((3, 3))) - (changed > 0)
    rim = cv2.dilate(far, np.ones((3, 3)))
    assert changed.max() > 60 and far.any()
    assert changed[rim > 0].max() <= levels


@pytest.mark.parametrize("region", REGIONS)
def test_one_region_changes_nothing_far_from_it(region: str) -> None:
    picture, points = person()
    made = composite(picture, points, [DonorShare(donor(), {region: 1.0})])
    layout = layout_of(points)
    y, x = np.mgrid[:SIZE, :SIZE]
    aside = (
        (x - layout.at(0, 0)[0]) * layout.across[0] + (y - layout.at(0, 0)[1]) * layout.across[1]
    ) / layout.distance
    above = ((x - layout.at(0, 0)[0]) * layout.up[0] + (y - layout.at(0, 0)[1]) * layout.up[1]) / layout.distance
    near = {
        "eyes": (above > -0.8) & (above < 0.9),
        "nose": (above < 0.6) & (above > -2.0) & (np.abs(aside) < 1.5),
        "mouth": (above < 0.0) & (above > -2.2),
        "ears": (above > 0.3),
        "forehead": above > -0.1,
    }[region]
    assert change(made, picture)[near].max() > 20
    energy = change(made, picture).astype(float) ** 2
    assert energy[~near].sum() < 0.05 * energy.sum()


def test_the_animals_background_never_comes_along() -> None:
    picture, points = person()
    crop, where = animal()
    mask = prepare(crop, where).alpha > 20
    green, magenta = (np.where(mask[..., None], crop, np.uint8(colour)) for colour in ((0, 255, 0), (255, 0, 255)))
    first, second = (
        composite(picture, points, [DonorShare(prepare(p, where), everywhere(1.0))]) for p in (green, magenta)
    )
    assert np.mean(change(first, second)) < 0.6 * np.mean(change(first, picture))
    # Neither colour is seen: nothing is as green, or as far from it, as the backgrounds are.
    lab = [relight.to_lab(made)[..., 1] for made in (first, second)]
    assert lab[0].min() > -60 and lab[1].max() < 75


def test_a_mirrored_person_and_a_mirrored_animal_give_a_mirrored_hybrid() -> None:
    picture, points = person()
    pairs = [(i, 16 - i) for i in range(8)] + [(17 + i, 26 - i) for i in range(5)] + [(31, 35), (32, 34)]
    pairs += [(36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46), (48, 54), (49, 53), (50, 52), (55, 59)]
    pairs += [(56, 58), (60, 64), (61, 63), (65, 67)]
    order = np.arange(68)
    for a, b in pairs:
        order[[a, b]] = order[[b, a]]
    flipped = (points * (-1, 1) + (SIZE - 1, 0))[order].astype(np.float32)
    plain = composite(picture, points, [DonorShare(donor(), everywhere(0.8))])
    mirror = composite(
        np.ascontiguousarray(picture[:, ::-1]), flipped, [DonorShare(donor().mirrored(), everywhere(0.8))]
    )
    assert np.abs(mirror[:, ::-1].astype(int) - plain).mean() < 1.0


def test_a_sweep_of_the_amount_is_smooth() -> None:
    picture, points = person()
    sweep = [
        composite(picture, points, [DonorShare(donor(), everywhere(a))]).astype(float) for a in np.linspace(0, 1, 11)
    ]
    steps = [np.abs(b - a).mean() for a, b in itertools.pairwise(sweep)]
    assert max(steps) < 4 * np.mean(steps)


def test_shut_eyes_leave_the_persons_own() -> None:
    picture, points = person()
    eyes = [np.round(points[i : i + 6].mean(0)).astype(int) for i in (36, 42)]
    shut = composite(picture, points, [DonorShare(replace(donor(), eyes_open=False), everywhere(1.0))])
    open_ = composite(picture, points, [DonorShare(donor(), everywhere(1.0))])
    detail = [relight.to_lab(p)[..., 0] - relight.low(relight.to_lab(p)[..., 0], 20.0) for p in (picture, shut, open_)]
    for x, y in eyes:
        own, kept, lent = (d[y - 6 : y + 7, x - 8 : x + 9] for d in detail)
        assert np.abs(kept - own).mean() < 0.5 * np.abs(lent - own).mean()


def test_a_grey_person_stays_grey() -> None:
    picture, points = person()
    gray = np.repeat(picture.mean(-1, keepdims=True), 3, -1).astype(np.uint8)
    made = composite(gray, points, [DonorShare(donor(), everywhere(1.0))])
    assert (made.max(-1).astype(int) - made.min(-1)).max() < 12


def test_two_donors_lend_their_own_regions() -> None:
    picture, points = person()
    both = [DonorShare(donor("fox"), {"eyes": 1.0, "forehead": 1.0}), DonorShare(donor("tiger"), {"mouth": 1.0})]
    made, fox = composite(picture, points, both), composite(picture, points, both[:1])
    upper = slice(0, int(points[36:48, 1].mean()))
    assert change(made, fox)[upper].mean() < 0.5 and change(made, fox).mean() > 2


@pytest.mark.parametrize("amounts", [{"eyes": 1.5}, {"eyes": float("nan")}, {"tail": 0.5}])
def test_wrong_amounts_are_refused(amounts: dict[str, float]) -> None:
    with pytest.raises(UserError, match="amounts must be in"):
        DonorShare(donor(), amounts)


def test_points_that_span_no_face_are_refused() -> None:
    picture, _ = person()
    with pytest.raises(ValueError, match="span a face"):
        composite(picture, np.zeros((68, 2), np.float32), [DonorShare(donor(), everywhere(1.0))])


def test_an_animal_without_a_mouth_is_no_donor() -> None:
    crop, where = animal()
    with pytest.raises(ValueError, match="eyes, nose and mouth"):
        prepare(crop, np.where(np.arange(6)[:, None] == 3, np.nan, where))


def test_the_mean_face_is_symmetric_and_lies_where_the_template_has_eyes() -> None:
    eyes = FRACTIONS[36:42].mean(0), FRACTIONS[42:48].mean(0)
    template = np.array(align.TEMPLATES["human"])
    assert np.allclose(eyes, template[:2], atol=0.02)
    assert np.allclose(FRACTIONS[:17][::-1] * (-1, 1) + (1, 0), FRACTIONS[:17], atol=1e-6)
