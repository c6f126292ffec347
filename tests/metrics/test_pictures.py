"""Errors of uint8 pictures against scikit-image, and against the tensors' own."""

import numpy as np
import pytest
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity

from rupantara.faces.arrays import to_images
from rupantara.metrics.image import image_errors
from rupantara.metrics.pictures import picture_errors
from rupantara.synthetic import draw_face

SOURCES = np.stack([draw_face("human", i, size=48).image for i in range(3)])
NOISE = np.random.default_rng(0).normal(0, 20, SOURCES.shape)
PICTURES = np.clip(SOURCES + NOISE, 0, 255).astype(np.uint8)


def test_errors_are_those_of_scikit_image() -> None:
    for a, b, errors in zip(PICTURES, SOURCES, picture_errors(PICTURES, SOURCES), strict=True):
        assert errors["mse"] == pytest.approx(mean_squared_error(b / 255, a / 255), rel=1e-5)
        assert errors["psnr"] == pytest.approx(peak_signal_noise_ratio(b, a), rel=1e-5)


def test_ssim_is_scikit_image_s_where_the_window_is_inside() -> None:
    """Pictures that repeat their mirrored selves beyond the border: ours over the middle is scikit-image's over all of them."""
    reflected = [np.pad(x, ((0, 0), (5, 5), (5, 5), (0, 0)), mode="reflect") for x in (PICTURES, SOURCES)]
    how = {"channel_axis": 2, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    for i, errors in enumerate(picture_errors(PICTURES, SOURCES)):
        peer = structural_similarity(reflected[1][i], reflected[0][i], data_range=255, **how)
        assert errors["ssim"] == pytest.approx(peer, abs=1e-5)


def test_errors_are_those_of_the_tensors() -> None:
    peer = image_errors(to_images(PICTURES), to_images(SOURCES))
    for i, errors in enumerate(picture_errors(PICTURES, SOURCES)):
        for name, value in errors.items():
            assert value == pytest.approx(float(peer[name][i]), rel=1e-4)


def test_equal_pictures_have_no_error() -> None:
    assert picture_errors(SOURCES, SOURCES)[0] == {"mse": 0, "psnr": 100, "ssim": pytest.approx(1)}
