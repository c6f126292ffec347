"""The dark channel against loops, haze that was made taken away again, and a picture worked by hand."""

import cv2
import numpy as np
import pytest

from rupantara.imaging.degrade import Cast
from rupantara.imaging.dehaze import Dehaze, atmospheric_light, dark_channel, darkest, recover, transmission
from rupantara.synthetic import draw_face

FACES = np.stack([draw_face("human", i, size=128).image for i in range(4)])
NOISE = np.random.default_rng(0).integers(0, 256, (14, 19, 3), np.uint8)


@pytest.mark.parametrize("patch", [1, 3, 9, 31])
def test_the_dark_channel_is_the_least_level_of_each_patch(patch: int) -> None:
    made, half = dark_channel(darkest(NOISE, patch)), patch // 2
    for y in range(14):
        for x in range(19):
            window = NOISE[max(0, y - half) : y + half + 1, max(0, x - half) : x + half + 1]
            assert made[y, x] == window.min()


@pytest.mark.parametrize("patch", [1, 5])
def test_the_transmission_is_one_less_omega_times_the_dark_channel_of_the_quotient(patch: int) -> None:
    light, half = np.array([250.0, 180, 97]), patch // 2
    made = transmission(darkest(NOISE, patch), light, 0.9)
    for y in range(14):
        for x in range(19):
            window = NOISE[max(0, y - half) : y + half + 1, max(0, x - half) : x + half + 1]
            assert made[y, x] == pytest.approx(1 - 0.9 * min((window / light).min(), 1), abs=1e-6)


def test_the_light_is_the_brightest_of_the_haziest_pixels_not_of_the_picture() -> None:
    """A white spot smaller than the patch is no haze: its patch holds darker pixels."""
    picture = np.full((100, 100, 3), 40, np.uint8)
    picture[60:, :] = (190, 200, 210)
    picture[80, 50] = (195, 205, 215)
    picture[10, 10] = 255
    light = atmospheric_light(picture, dark_channel(darkest(picture, 5)))
    np.testing.assert_array_equal(light, [195, 205, 215])


def test_a_worked_example() -> None:
    """One pixel a patch, no smoothing to speak of: A = 200 grey; the darker half has t = 1 - 0.5 * 100 / 200 = 0.75.

    Its scene is (100 - 200) / 0.75 + 200 = 66.7; the light's own half stays.
    """
    picture = np.full((8, 8, 3), 100, np.uint8)
    picture[:, 4:] = 200
    least = darkest(picture, 1)
    light = atmospheric_light(picture, dark_channel(least))
    t = transmission(least, light, 0.5)
    np.testing.assert_allclose(np.unique(t), [0.5, 0.75])
    np.testing.assert_array_equal(np.unique(recover(picture, t, light, 0.1)), [67, 200])


@pytest.mark.parametrize("t", [0.4, 0.7])
def test_recovering_undoes_the_haze_of_a_known_light_and_transmission(t: float) -> None:
    """Haze rounds to a level, which recovery divides by t."""
    light = np.array([240.0, 230, 220])
    hazy = np.rint(FACES[0] * t + light * (1 - t)).astype(np.uint8)
    made = recover(hazy, np.full((128, 128), t, np.float32), light, 0.1)
    assert np.abs(made.astype(int) - FACES[0]).max() <= 0.5 / t + 0.5


def test_no_pixel_is_divided_by_less_than_the_floor() -> None:
    picture, light = np.full((4, 4, 3), 100, np.uint8), np.full(3, 110.0)
    made = recover(picture, np.zeros((4, 4), np.float32), light, 0.5)
    np.testing.assert_array_equal(made, 90)


def test_more_omega_takes_more_haze_away() -> None:
    hazy = Cast(0.4)(FACES)
    means = [Dehaze(omega=omega)(hazy).mean() for omega in (0, 0.3, 0.6, 0.95)]
    assert means == sorted(means, reverse=True)
    assert len(set(means)) == 4


def _mse(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.square(a.astype(float) - b).mean())


def test_a_white_cast_is_mostly_taken_away_and_a_clear_picture_is_harmed() -> None:
    hazy = Cast(0.4)(FACES)
    assert _mse(Dehaze()(hazy), FACES) < 0.5 * _mse(hazy, FACES)
    assert _mse(Dehaze()(FACES), FACES) > 0


def test_turning_the_picture_turns_the_result() -> None:
    turned = np.ascontiguousarray(np.rot90(FACES, 1, axes=(1, 2)))
    difference = np.abs(Dehaze()(turned).astype(int) - np.rot90(Dehaze()(FACES), 1, axes=(1, 2)))
    assert difference.max() <= 1


def test_light_of_a_colour_is_found_in_a_hazy_scene() -> None:
    depth = cv2.resize(np.linspace(0, 1, 128, dtype=np.float32)[:, None], (128, 128))
    t, light = np.exp(-3 * depth)[..., None], np.array([215.0, 225, 235])
    hazy = np.rint(FACES[0] * t + light * (1 - t)).astype(np.uint8)
    found = atmospheric_light(hazy, dark_channel(darkest(hazy, 15)))
    np.testing.assert_allclose(found, light, atol=12)
