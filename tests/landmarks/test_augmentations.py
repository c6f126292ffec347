"""Points and boxes stay on what they marked, flips undo themselves, strengths stay in their ranges, seeds decide all."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rupantara.landmarks import augmentations
from rupantara.landmarks.augmentations import AUGMENTATIONS, MarkedFace, augment, blur, flip, jitter, shift_zoom
from rupantara.landmarks.regions import CANONICAL, PARTS
from rupantara.models import placement

SIZE = 128


def marked(seed: int = 0) -> MarkedFace:
    """A smooth random picture with a bright dot at each keypoint."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(30, 98, (5, 2)).astype(np.float32)
    picture = cv2.resize(rng.integers(0, 256, (6, 6, 3)).astype(np.uint8), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    return MarkedFace(picture, points, np.array(CANONICAL["human"], np.float32))


def dots(points: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[:SIZE, :SIZE]
    layers = [255 * np.exp(-((x - px) ** 2 + (y - py) ** 2) / 8) for px, py in points]
    return np.stack(layers)


def centre(layer: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[:SIZE, :SIZE]
    weight = layer.astype(float)
    return np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), name=st.sampled_from(["shift_zoom", "flip"]))
def test_keypoints_stay_on_what_they_marked(seed: int, name: str) -> None:
    face, alter = marked(seed), AUGMENTATIONS[name]
    moved = [
        alter(
            MarkedFace(np.repeat(np.uint8(layer)[..., None], 3, 2), face.keypoints, face.boxes),
            np.random.default_rng(seed),
        )
        for layer in dots(face.keypoints)
    ]
    order = (1, 0, 2, 4, 3) if name == "flip" else range(5)
    for i, place in enumerate(order):
        np.testing.assert_allclose(centre(moved[place].picture[..., 0]), moved[0].keypoints[i], atol=0.15)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_a_box_cuts_the_same_after_the_picture_moved(seed: int) -> None:
    face = marked(seed)
    moved = shift_zoom(face, np.random.default_rng(seed))

    def cut(face: MarkedFace) -> torch.Tensor:
        images = torch.from_numpy(face.picture).permute(2, 0, 1)[None].float()
        return placement.cut_regions(images, torch.from_numpy(face.boxes)[None], 16)

    assert float((cut(moved) - cut(face)).abs().mean()) < 2


def test_flipping_twice_is_the_identity_and_boxes_flip_as_the_decoder_s() -> None:
    face = marked()
    boxes = face.boxes + np.random.default_rng(0).uniform(-0.05, 0.05, (6, 4)).astype(np.float32)
    face = MarkedFace(face.picture, face.keypoints, boxes)
    once, twice = flip(face), flip(flip(face))
    np.testing.assert_array_equal(twice.picture, face.picture)
    np.testing.assert_allclose(twice.keypoints, face.keypoints, atol=1e-4)
    np.testing.assert_allclose(twice.boxes, face.boxes, atol=1e-6)
    np.testing.assert_allclose(once.boxes, placement.mirror(torch.from_numpy(boxes)[None])[0], atol=1e-6)
    ear = once.boxes[PARTS.index("left_ear")]
    assert ear[0] == pytest.approx(1 - boxes[PARTS.index("right_ear"), 2])


@pytest.mark.parametrize("name", ["jitter", "blur"])
def test_what_changes_levels_moves_nothing(name: str) -> None:
    face = marked()
    altered = AUGMENTATIONS[name](face, np.random.default_rng(0))
    assert altered.keypoints is face.keypoints and altered.boxes is face.boxes
    assert (altered.picture != face.picture).mean() > 0.3


def test_shift_and_zoom_stay_in_their_ranges_and_fill_them() -> None:
    face, rng = marked(), np.random.default_rng(0)
    moved = [shift_zoom(face, rng).boxes for _ in range(400)]
    zooms = np.array([(b[0, 2] - b[0, 0]) / (face.boxes[0, 2] - face.boxes[0, 0]) for b in moved])
    whole = [
        np.linalg.lstsq(np.c_[face.boxes[:, :2].ravel() * 0 + 1], (b - z * face.boxes)[:, 0].repeat(2), rcond=None)[0]
        for b, z in zip(moved, zooms, strict=True)
    ]
    shifts = np.concatenate(whole) - 0.5 + 0.5 * zooms
    for found, (low, high) in ((zooms, augmentations.ZOOM), (shifts, (-augmentations.SHIFT, augmentations.SHIFT))):
        assert low - 1e-5 <= found.min() < low + 0.1 * (high - low)
        assert high - 0.1 * (high - low) < found.max() <= high + 1e-5


def test_jitter_changes_a_grey_picture_s_levels_within_its_range() -> None:
    """On flat grey neither contrast nor saturation shows but through the cast: 128 x 0.92..1.08 +- 38, saturation up to 1.4."""
    grey = MarkedFace(np.full((SIZE, SIZE, 3), 128, np.uint8), marked().keypoints, marked().boxes)
    rng = np.random.default_rng(0)
    levels = np.array([jitter(grey, rng).picture[0, 0].mean() for _ in range(300)])
    assert 128 - 38 - 14 < levels.min() < 110 and 146 < levels.max() < 128 + 38 + 14


def test_blur_keeps_the_mean_and_removes_detail() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8)
    face = MarkedFace(noise, marked().keypoints, marked().boxes)
    found = blur(face, np.random.default_rng(0)).picture
    assert found.mean() == pytest.approx(noise.mean(), abs=1)
    assert found.std() < 0.9 * noise.std()


def test_the_seed_decides_all_and_the_face_given_is_left_alone() -> None:
    face = marked()
    before = face.picture.copy()
    one, again, other = (augment(face, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.picture, again.picture)
    np.testing.assert_array_equal(one.boxes, again.boxes)
    assert (one.picture != other.picture).any()
    np.testing.assert_array_equal(face.picture, before)
    assert one.picture.dtype == np.uint8 and one.boxes.dtype == one.keypoints.dtype == np.float32


def test_half_of_the_faces_are_flipped() -> None:
    face, rng = marked(), np.random.default_rng(0)
    flipped = []
    for _ in range(200):
        found = augment(face, rng).picture.astype(float)
        as_is, mirrored = (
            np.corrcoef(found.ravel(), x.astype(float).ravel())[0, 1] for x in (face.picture, face.picture[:, ::-1])
        )
        flipped.append(mirrored > as_is)
    assert np.mean(flipped) == pytest.approx(0.5, abs=0.12)
