"""Saturation and contrast against Pillow's, and their laws."""

import cv2
import numpy as np
import pytest
from PIL import Image, ImageEnhance

from rupantara.imaging.tone import LUMA, Tone, saturation_matrix
from rupantara.synthetic import draw_face

FACES = np.stack([draw_face(species, 4, size=96).image for species in ("human", "cat", "wolf")])


@pytest.mark.parametrize("factor", [0, 0.4, 1.3, 1.8])
def test_saturation_is_pillow_s_colour(factor: float) -> None:
    """Pillow rounds the luma first, which the factor then multiplies."""
    for picture, made in zip(FACES, Tone(factor, 1)(FACES), strict=True):
        peer = np.array(ImageEnhance.Color(Image.fromarray(picture)).enhance(factor))
        assert np.abs(made.astype(int) - peer).max() <= 2


@pytest.mark.parametrize("factor", [0, 0.4, 1.3, 1.8])
def test_contrast_is_pillow_s_contrast(factor: float) -> None:
    for picture, made in zip(FACES, Tone(1, factor)(FACES), strict=True):
        peer = np.array(ImageEnhance.Contrast(Image.fromarray(picture)).enhance(factor))
        assert np.abs(made.astype(int) - peer).max() <= 2


def test_a_worked_example() -> None:
    """Luma of (200, 100, 50) is 124.2; at saturation 0.5 each channel goes half way to it."""
    made = Tone(0.5, 1)(np.full((1, 4, 4, 3), (200, 100, 50), np.uint8))
    np.testing.assert_array_equal(made[0, 0, 0], [162, 112, 87])


def test_contrast_halves_the_distance_from_the_mean() -> None:
    picture = np.zeros((1, 4, 4, 3), np.uint8)
    picture[:, :, 2:] = 200
    made = Tone(1, 0.5)(picture)
    np.testing.assert_array_equal(np.unique(made), [50, 150])


def test_changing_the_saturation_keeps_every_luma_and_factors_multiply() -> None:
    np.testing.assert_allclose(LUMA @ saturation_matrix(1.7), LUMA)
    np.testing.assert_allclose(saturation_matrix(0.5) @ saturation_matrix(3), saturation_matrix(1.5))


@pytest.mark.parametrize("contrast", [0.3, 0.8])
def test_the_mean_luma_stays(contrast: float) -> None:
    for picture, made in zip(FACES, Tone(0.7, contrast)(FACES), strict=True):
        lumas = [LUMA @ cv2.mean(x)[:3] for x in (picture, made)]
        assert lumas[1] == pytest.approx(lumas[0], abs=0.5)
