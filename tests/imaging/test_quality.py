"""Laws of the measures: what they must rise with, and what they must not see."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.color import rgb2lab

from rupantara.imaging import quality
from rupantara.synthetic import draw_face

FACES = [draw_face(species, 4, size=128).image for species in ("human", "cat", "wolf")]


@pytest.mark.parametrize("picture", FACES, ids=["human", "cat", "wolf"])
def test_each_stronger_blur_lowers_the_sharpness(picture: np.ndarray) -> None:
    gray = quality.to_gray(picture)
    measured = [quality.sharpness(gray)]
    measured += [quality.sharpness(cv2.GaussianBlur(gray, (0, 0), sigma)) for sigma in (0.7, 1.5, 3.0, 6.0)]
    assert all(sharper > 1.05 * softer for sharper, softer in pairwise(measured))


@pytest.mark.parametrize("picture", FACES, ids=["human", "cat", "wolf"])
@pytest.mark.parametrize("gain", [0.6, 0.8, 0.9])
def test_darkening_leaves_the_sharpness(picture: np.ndarray, gain: float) -> None:
    gray = quality.to_gray(picture)
    darker = np.round(gray * gain).astype(np.uint8)
    assert quality.sharpness(darker) == pytest.approx(quality.sharpness(gray), rel=0.05)


@pytest.mark.parametrize("picture", FACES, ids=["human", "cat", "wolf"])
@pytest.mark.parametrize("gain", [2, 3, 5])
def test_brightening_without_rounding_leaves_the_sharpness_exactly(picture: np.ndarray, gain: int) -> None:
    dark = quality.to_gray(picture) // 5
    assert quality.sharpness(dark * gain) == pytest.approx(quality.sharpness(dark), rel=1e-4)


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_sharpness_does_not_depend_on_how_many_pixels_the_crop_has(factor: int) -> None:
    for species in ("human", "fox"):
        large = draw_face(species, 4, size=128 * factor).image
        small = cv2.resize(large, (128, 128), interpolation=cv2.INTER_AREA)
        measured = [quality.sharpness(quality.to_gray(picture)) for picture in (large, small)]
        assert measured[0] == pytest.approx(measured[1], rel=0.02)


@given(st.integers(0, 255))
def test_a_level_picture_has_no_sharpness_no_chroma_and_its_own_brightness(level: int) -> None:
    picture = np.full((16, 16, 3), level, np.uint8)
    gray = quality.to_gray(picture)
    assert quality.sharpness(gray) == 0
    assert quality.chroma(picture) == pytest.approx(0, abs=0.25)
    assert quality.brightness(gray) == level


def test_sharpness_of_a_worked_example() -> None:
    """One white dot on black, at the side of the measure: Laplacian -4 at it and 1 at its four neighbours, times 255."""
    side = quality.SHARPNESS_SIDE
    gray = np.zeros((side, side), np.uint8)
    gray[2, 2] = 255
    laplacian = np.array([-4.0, 1, 1, 1, 1] + [0] * (side**2 - 5))
    luma = np.array([1.0] + [0] * (side**2 - 1))
    assert quality.sharpness(gray) == pytest.approx(laplacian.var() / luma.var(), rel=1e-5)


@pytest.mark.parametrize("picture", FACES, ids=["human", "cat", "wolf"])
def test_a_picture_without_colour_has_no_chroma(picture: np.ndarray) -> None:
    gray = np.repeat(quality.to_gray(picture)[..., None], 3, axis=2)
    assert quality.chroma(gray) == pytest.approx(0, abs=0.25)
    assert quality.chroma(picture) > 2


@pytest.mark.parametrize("picture", FACES, ids=["human", "cat", "wolf"])
def test_chroma_is_scikit_image_s_distance_from_the_grey_axis(picture: np.ndarray) -> None:
    lab = rgb2lab(picture)
    assert quality.chroma(picture) == pytest.approx(float(np.hypot(lab[..., 1], lab[..., 2]).mean()), rel=0.01)


def test_mixing_with_grey_lowers_the_chroma_step_by_step() -> None:
    gray = np.repeat(quality.to_gray(FACES[0])[..., None], 3, axis=2).astype(float)
    mixed = [np.round(FACES[0] * share + gray * (1 - share)).astype(np.uint8) for share in (1.0, 0.7, 0.4, 0.1)]
    measured = [quality.chroma(picture) for picture in mixed]
    assert measured == sorted(measured, reverse=True)


def test_luma_weighs_the_primaries_by_bt601() -> None:
    primaries = np.eye(3, dtype=np.uint8).reshape(1, 3, 3) * 255
    np.testing.assert_array_equal(quality.to_gray(primaries), [[76, 150, 29]])


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turning_the_picture_changes_no_measure(turns: int) -> None:
    picture = FACES[0]
    turned = np.ascontiguousarray(np.rot90(picture, turns))
    gray, turned_gray = quality.to_gray(picture), quality.to_gray(turned)
    assert quality.sharpness(turned_gray) == pytest.approx(quality.sharpness(gray), rel=1e-4)
    assert quality.chroma(turned) == pytest.approx(quality.chroma(picture), rel=1e-4)
    assert quality.brightness(turned_gray) == pytest.approx(quality.brightness(gray))
