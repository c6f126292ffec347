"""VGG16 against its layers computed one by one in numpy, from tensors in torchvision's layout."""

import numpy as np
import pytest
import torch
from torch import Tensor

from rupantara.models.vgg16 import from_published

CONVOLUTIONS = ((0, 3, 64), (2, 64, 64), (5, 64, 128), (7, 128, 128), (10, 128, 256), (12, 256, 256), (14, 256, 256))
CONVOLUTIONS += ((17, 256, 512), (19, 512, 512), (21, 512, 512))
"""(number in torchvision's `features`, channels in, out), to relu4_3."""

POOLED = (4, 9, 16)
TAPPED = (2, 7, 14, 21)


def published(seed: int) -> dict[str, Tensor]:
    """Tensors of torchvision's names and shapes, with its later layers and classifier, which are not used."""
    generator, out = torch.Generator().manual_seed(seed), {}
    for number, inside, outside in (*CONVOLUTIONS, (24, 512, 512), (26, 512, 512), (28, 512, 512)):
        weight = torch.randn(outside, inside, 3, 3, generator=generator) * (2 / (9 * inside)) ** 0.5
        out |= {
            f"features.{number}.weight": weight,
            f"features.{number}.bias": torch.rand(outside, generator=generator) / 9,
        }
    return out | {"classifier.6.bias": torch.zeros(1000), "classifier.0.bias": torch.zeros(4096)}


def by_numpy(state: dict[str, Tensor], images: Tensor) -> list[np.ndarray]:
    """Compute the taps: [0, 1] less ImageNet's mean over its deviation, 3 x 3 convolutions as sums of nine products."""
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    x = (images.numpy().astype(np.float64) + 1) / 2
    x = (x - mean[:, None, None]) / deviation[:, None, None]
    taps = []
    for number, _, _ in CONVOLUTIONS:
        if number - 1 in POOLED:
            n, c, h, w = x.shape
            x = x[:, :, : h // 2 * 2, : w // 2 * 2].reshape(n, c, h // 2, 2, w // 2, 2).max((3, 5))
        weight, bias = (state[f"features.{number}.{part}"].numpy().astype(np.float64) for part in ("weight", "bias"))
        padded, (h, w) = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1))), x.shape[2:]
        shifted = [(i, j, padded[:, :, i : i + h, j : j + w]) for i in range(3) for j in range(3)]
        x = sum(np.einsum("oc,bchw->bohw", weight[:, :, i, j], part) for i, j, part in shifted)
        x = np.maximum(x + bias[:, None, None], 0)
        if number in TAPPED:
            taps.append(x)
    return taps


def test_taps_are_those_of_the_layers_computed_by_hand() -> None:
    state = published(0)
    images = torch.rand(1, 3, 17, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1
    found, expected = from_published(state).features(images), by_numpy(state, images)
    assert [x.shape[1] for x in found] == [64, 128, 256, 512]
    for x, y in zip(found, expected, strict=True):
        assert x.shape == y.shape
        assert float(np.abs(x.numpy() - y).max() / np.abs(y).max()) < 1e-5


def test_the_first_depths_are_those_of_all() -> None:
    net, images = from_published(published(0)), torch.rand(1, 3, 16, 16) * 2 - 1
    for depths in (1, 3):
        first = net.features(images, depths)
        assert len(first) == depths
        assert all(torch.equal(a, b) for a, b in zip(first, net.features(images), strict=False))


def test_a_missing_convolution_is_named_and_weights_are_frozen() -> None:
    state = published(0)
    assert not any(p.requires_grad for p in from_published(state).parameters())
    with pytest.raises(RuntimeError, match=r"21\.bias"):
        from_published({k: v for k, v in state.items() if k != "features.21.bias"})
