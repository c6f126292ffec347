"""The differentiable ArcFace crop is the one that OpenCV cuts, and its gradients are finite differences."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rupantara.faces.arrays import to_images
from rupantara.faces.chips import arcface_chip
from rupantara.landmarks.align import align, transform_points
from rupantara.landmarks.crop import ARCFACE_TEMPLATE, arcface_crop
from rupantara.models import mobilefacenet
from rupantara.synthetic import draw_face
from tests.conftest import WEIGHTS

TEMPLATE = torch.tensor(ARCFACE_TEMPLATE)


def drawn(size: int, people: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Aligned pictures uint8 [n, size, size, 3] and their keypoints [n, 5, 2]."""
    faces = [draw_face("human", i, size=320) for i in range(people)]
    made = [align(face.image, face.keypoints, "human", size) for face in faces]
    points = [transform_points(face.keypoints, m.transform) for face, m in zip(faces, made, strict=True)]
    return np.stack([m.crop for m in made]), np.stack(points).astype(np.float32)


def crop(pictures: np.ndarray, points: np.ndarray) -> torch.Tensor:
    return arcface_crop(to_images(pictures), torch.from_numpy(points))


@pytest.mark.parametrize("size", [64, 128, 256, 512])
def test_a_crop_is_the_chip_that_opencv_cuts(size: int) -> None:
    pictures, points = drawn(size)
    found = crop(pictures, points).permute(0, 2, 3, 1).numpy()
    expected = np.stack([arcface_chip(x, p) for x, p in zip(pictures, points, strict=True)])
    assert np.abs(found - expected).mean() < 1.5


@pytest.mark.parametrize("size", [64, 128, 256])
def test_the_identity_of_a_crop_is_that_of_the_chip(size: int) -> None:
    if not (WEIGHTS / "mobilefacenet.npz").exists():
        pytest.skip(f"the published network is not in {WEIGHTS}")
    model = mobilefacenet.from_published(dict(np.load(WEIGHTS / "mobilefacenet.npz")))
    pictures, points = drawn(size)
    chips = np.stack([arcface_chip(x, p) for x, p in zip(pictures, points, strict=True)])
    expected = model(torch.from_numpy(chips).permute(0, 3, 1, 2).float())
    cosine = torch.cosine_similarity(model(crop(pictures, points)), expected)
    assert float(cosine.min()) > 0.98, cosine


def test_keypoints_already_on_the_template_leave_the_picture_as_it_is() -> None:
    images = torch.rand(2, 3, 112, 112) * 2 - 1
    found = arcface_crop(images, TEMPLATE.expand(2, 5, 2))
    torch.testing.assert_close(found, (images + 1) * 127.5, atol=0.01, rtol=0)


@settings(max_examples=20, deadline=None)
@given(angle=st.floats(-0.6, 0.6), scale=st.floats(0.5, 5))
def test_a_linear_picture_is_read_at_the_similarity_s_places(angle: float, scale: float) -> None:
    """A picture whose red is x and green is y of its own pixels says where each pixel of the crop was read."""
    side = 900
    ramp = torch.arange(side) / (side - 1) * 2 - 1
    images = torch.stack([ramp.expand(side, side), ramp[:, None].expand(side, side), torch.zeros(side, side)])[None]
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    turn = torch.tensor([[c, -s], [s, c]], dtype=torch.float32)
    points = ((TEMPLATE - 56) @ turn.T + side / 2)[None]
    found = arcface_crop(images, points)[0, :2] / 255 * (side - 1)
    y, x = torch.meshgrid(torch.arange(112.0), torch.arange(112.0), indexing="ij")
    expected = (torch.stack([x, y], dim=-1) - 56) @ turn.T + side / 2
    torch.testing.assert_close(found.permute(1, 2, 0), expected, atol=0.15, rtol=0)  # the cubic is off by a tenth


def test_a_row_does_not_depend_on_its_batch() -> None:
    pictures, points = drawn(256)
    points[1] = (points[1] - 128) * 0.4 + 128
    together = crop(pictures, points)
    for i in range(len(points)):
        torch.testing.assert_close(crop(pictures[i : i + 1], points[i : i + 1])[0], together[i], atol=1e-3, rtol=0)


@pytest.mark.parametrize("size", [96, 256])
def test_gradients_are_finite_differences(size: int) -> None:
    """The crop is linear in the pixels, so a large step is exact."""
    pictures, points = drawn(size, 2)
    generator = torch.Generator().manual_seed(0)
    images = to_images(pictures).requires_grad_()
    direction = torch.randn(2, 3, 112, 112, generator=generator)
    (arcface_crop(images, torch.from_numpy(points)) * direction).sum().backward()
    step = torch.randn(images.shape, generator=generator)
    assert images.grad is not None
    with torch.no_grad():
        change = (
            arcface_crop(images + step, torch.from_numpy(points)) - arcface_crop(images, torch.from_numpy(points))
        ) * direction
    assert float(change.double().sum()) == pytest.approx(float((images.grad * step).double().sum()), rel=1e-3)


@pytest.mark.parametrize("bad", [0.0, float("nan")])
def test_keypoints_of_no_face_are_refused(bad: float) -> None:
    points = TEMPLATE.expand(2, 5, 2).clone()
    points[1] = bad
    with pytest.raises(ValueError, match="finite and distinct"):
        arcface_crop(torch.zeros(2, 3, 64, 64), points)


def test_a_shrunk_crop_does_not_alias() -> None:
    """Stripes finer than the crop's pixels average to grey."""
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::2] = 255
    points = (np.array(ARCFACE_TEMPLATE, np.float32) - 56) * 4.3 + 256
    found = crop(stripes[None], points[None])
    assert float(found.std()) < 12
    assert cv2.mean(stripes)[0] == pytest.approx(float(found.mean()), abs=2)
