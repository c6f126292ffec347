"""Perceptual distance on a network small enough for numpy: its sums, its zero, its gradients."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rupantara.losses.perceptual import perceptual_distance
from rupantara.metrics.perceptual import lpips_caffe_squeezenet


def features(images: Tensor) -> list[Tensor]:
    """Three channels' sums and differences, then the same of 2 x 2 means."""

    def mixed(x: Tensor) -> Tensor:
        r, g, b = x.unbind(1)
        return torch.stack([r + g, g - b, b * 2 + 0.1], dim=1)

    return [mixed(images), mixed(F.avg_pool2d(images, 2))]


def by_numpy(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    def taps(x: np.ndarray) -> list[np.ndarray]:
        n, c, h, w = x.shape
        small = x.reshape(n, c, h // 2, 2, w // 2, 2).mean((3, 5))
        return [np.stack([y[:, 0] + y[:, 1], y[:, 1] - y[:, 2], 2 * y[:, 2] + 0.1], 1) for y in (x, small)]

    total = np.zeros(len(a))
    for x, y in zip(taps(a), taps(b), strict=True):
        x, y = (z / np.sqrt((z**2).sum(1, keepdims=True)) for z in (x, y))
        total += ((x - y) ** 2).sum(1).mean((1, 2)) / 2
    return total


def pictures(seed: int) -> Tensor:
    return torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_it_is_what_numpy_gives_and_the_mean_over_depths() -> None:
    a, b = pictures(0), pictures(1)
    found = perceptual_distance(features, a, b)
    np.testing.assert_allclose(found, by_numpy(a.numpy(), b.numpy()), rtol=1e-4)
    single = [perceptual_distance(features, a, b, depths=[i]) for i in (0, 1)]
    torch.testing.assert_close(found, (single[0] + single[1]) / 2)
    assert float((single[0] - single[1]).abs().min()) > 1e-3
    # Unweighted LPIPS adds the depths up instead.
    torch.testing.assert_close(2 * found, lpips_caffe_squeezenet(features, a, b), rtol=1e-4, atol=1e-6)


def test_equal_pictures_are_no_distance_apart_and_opposite_features_two() -> None:
    a = pictures(0)
    assert perceptual_distance(features, a, a).tolist() == [0.0] * 3
    torch.testing.assert_close(perceptual_distance(lambda x: [x], a, -a), torch.full((3,), 4.0), rtol=1e-3, atol=1e-3)
    black = perceptual_distance(lambda x: [x], torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4))
    assert black.tolist() == [0.0]


def test_gradients_reach_the_outputs_only_and_are_finite_where_features_are_zero() -> None:
    a, b = pictures(0).requires_grad_(), pictures(1).requires_grad_()
    with torch.no_grad():
        a[0] = 0
    perceptual_distance(lambda x: [torch.relu(x)], a, b).sum().backward()
    assert b.grad is None
    assert a.grad is not None and torch.isfinite(a.grad).all() and float(a.grad[1:].abs().sum()) > 0
