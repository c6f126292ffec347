"""Textures: landmarks come to lie at the mean's, equal points change nothing, and the torch warp undoes the numpy one."""

import cv2
import numpy as np
import pytest
import torch

from rupantara.faces.arrays import to_images, to_pictures
from rupantara.landmarks.spline import DegenerateError
from rupantara.landmarks.texture import SIDE, rescale, texture_of
from rupantara.models.face_decoder import lay
from rupantara.synthetic import draw_face

DOT_PX = 1.5


def _face(seed: int, size: int = 224) -> tuple[np.ndarray, np.ndarray]:
    face = draw_face("human", seed, size=size)
    assert face.landmarks is not None
    return face.image, np.asarray(face.landmarks, np.float64)


@pytest.mark.parametrize("after", [56, 112, 224, 500])
def test_rescaled_points_come_back_and_corners_of_pixels_stay_corners(after: int) -> None:
    points = np.random.default_rng(0).uniform(0, 224, (68, 2))
    np.testing.assert_allclose(rescale(rescale(points, 224, after), after, 224), points, atol=1e-9)
    # The outer edge of the first pixel is -1/2 on every scale.
    np.testing.assert_allclose(rescale(np.full((1, 2), -0.5), 224, after), -0.5)


def test_a_face_whose_landmarks_are_the_mean_s_is_its_own_texture() -> None:
    picture, points = _face(0)
    np.testing.assert_array_equal(texture_of(picture, points, points, SIDE), picture)


@pytest.mark.parametrize("size", [112, 224])
def test_dots_at_the_landmarks_come_to_lie_at_the_mean_s(size: int) -> None:
    _, points = _face(1, 256)
    _, mean = _face(2)
    for i in (8, 30, 36, 45, 54):
        picture = np.zeros((256, 256, 3), np.uint8)
        x, y = np.round(points[i]).astype(int)
        cv2.circle(picture, (int(x), int(y)), 6, (255, 255, 255), -1, cv2.LINE_AA)
        warped = texture_of(picture, points, mean, size)[..., 0].astype(np.float64)
        rows, columns = np.mgrid[:size, :size]
        centre = np.array([(columns * warped).sum(), (rows * warped).sum()]) / warped.sum()
        assert np.abs(centre - rescale(mean[i], SIDE, size)).max() < DOT_PX, i


def test_a_texture_laid_on_its_face_s_landmarks_is_the_face() -> None:
    picture, points = _face(3)
    smooth = cv2.GaussianBlur(picture, (0, 0), 2.5)
    _, mean = _face(4)
    texture = texture_of(smooth, points, mean, SIDE)
    pair = [torch.from_numpy(p).float() for p in (points[None], mean)]
    again = to_pictures(lay(to_images(texture[None]), pair[0], pair[1]))[0]
    inner = (slice(20, 204), slice(20, 204))
    apart = np.abs(again[inner].astype(float) - smooth[inner])
    assert np.abs(texture.astype(float) - smooth)[inner].mean() > 4 * apart.mean()
    assert apart.mean() < 2.0


def test_landmarks_that_allow_no_warp_are_an_error() -> None:
    picture, points = _face(5)
    points[:] = np.nan
    with pytest.raises(DegenerateError):
        texture_of(picture, points, _face(6)[1], SIDE)
