"""Bands sum to the picture; masks of 0 and 1 are the pictures themselves."""

import numpy as np
import pytest

from rupantara.imaging import laplacian

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(64, 64, 3), (101, 77, 3)])
def test_collapsed_bands_are_the_picture(shape: tuple[int, int, int]) -> None:
    picture = RNG.normal(size=shape).astype(np.float32)
    assert np.abs(laplacian.collapse(laplacian.laplacian_pyramid(picture)) - picture).max() < 1e-5


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_mask_of_0_keeps_and_of_1_takes(share: float) -> None:
    below, above = RNG.normal(size=(2, 80, 64, 3)).astype(np.float32)
    masks = laplacian.gaussian_pyramid(np.full((80, 64), np.float32(share)))
    made = laplacian.blend(below, above, masks)
    assert np.abs(made - (above if share else below)).max() < 1e-4


def test_a_step_between_two_flat_pictures_is_a_slow_ramp() -> None:
    below, above = (np.full((128, 128, 1), np.float32(level)) for level in (0, 1))
    mask = np.zeros((128, 128), np.float32)
    mask[:, 64:] = 1
    made = laplacian.blend(below, above, laplacian.gaussian_pyramid(mask))[64, :, 0]
    assert made[:16].max() < 0.02 and made[-16:].min() > 0.98 and np.abs(np.diff(made)).max() < 0.08
