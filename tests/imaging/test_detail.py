"""Bilateral filter and unsharp mask against scikit-image and their own formula."""

import numpy as np
import pytest
from skimage.filters import gaussian, unsharp_mask

from rupantara.imaging.detail import Bilateral, Unsharp
from rupantara.synthetic import draw_face

FACES = np.stack([draw_face("human", i, size=64).image for i in range(2)])


@pytest.mark.parametrize(("amount", "sigma"), [(0.6, 1.5), (2.0, 1.0), (1.0, 4.0)])
def test_the_unsharp_mask_is_scikit_image_s(amount: float, sigma: float) -> None:
    """Ours blurs by whole levels, which the amount multiplies; the border is reflected without its last pixel."""
    cut = np.s_[16:-16, 16:-16]
    for picture, made in zip(FACES, Unsharp(amount, sigma)(FACES), strict=True):
        peer = 255 * unsharp_mask(picture / 255, radius=sigma, amount=amount, channel_axis=2)
        assert np.abs(made - peer)[cut].max() <= 0.5 + 1.5 * amount


def test_the_unsharp_mask_steepens_edges_and_leaves_levels() -> None:
    edge = np.full((1, 40, 40, 3), 100, np.uint8)
    edge[:, :, 20:] = 150
    made = Unsharp(1.0, 2.0)(edge)[0, 20, :, 0].astype(int)
    assert made[20] - made[19] > 60
    assert made[0] == 100 and made[-1] == 150


def _bilateral(picture: np.ndarray, step: Bilateral) -> np.ndarray:
    """Average over the disc by both weights; colours differ by the sum of their channels' differences."""
    radius, height, width = step.diameter // 2, *picture.shape[:2]
    padded = np.pad(picture.astype(float), ((radius, radius), (radius, radius), (0, 0)), mode="reflect")
    total, weights = np.zeros(picture.shape), np.zeros((height, width, 1))
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            if dy * dy + dx * dx > radius * radius:
                continue
            moved = padded[radius + dy : radius + dy + height, radius + dx : radius + dx + width]
            difference = np.abs(moved - picture).sum(axis=2, keepdims=True)
            weight = np.exp(-(dy * dy + dx * dx) / (2 * step.sigma_space**2))
            weight = weight * np.exp(-(difference**2) / (2 * step.sigma_color**2))
            total, weights = total + weight * moved, weights + weight
    return total / weights


@pytest.mark.parametrize("step", [Bilateral(), Bilateral(9, 60, 3)])
def test_the_bilateral_filter_is_its_formula(step: Bilateral) -> None:
    for picture, made in zip(FACES, step(FACES), strict=True):
        assert np.abs(made - _bilateral(picture, step)).max() <= 1


def test_the_bilateral_filter_takes_noise_and_keeps_edges_that_a_blur_smears() -> None:
    clean = np.full((1, 60, 60, 3), 60, np.uint8)
    clean[:, :, 30:] = 200
    noisy = np.clip(clean + np.random.default_rng(0).normal(0, 5, clean.shape), 0, 255).astype(np.uint8)
    made = Bilateral(9, 60, 3)(noisy).astype(float)
    blurred = 255 * gaussian(noisy[0] / 255, 3, channel_axis=2)
    assert made[:, :, :20].std() < 0.6 * noisy[:, :, :20].std()
    step = np.s_[10:-10, 29:31, 0]
    assert np.diff(made[0][step], axis=1).mean() > 120 > 60 > np.diff(blurred[step], axis=1).mean()
