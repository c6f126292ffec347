"""The feature error against SqueezeNet's first layers computed by hand, from Caffe's own preprocessing."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from rupantara.losses.feature import feature_error
from rupantara.models.squeezenet import SqueezeNet


@pytest.fixture(scope="module")
def net() -> SqueezeNet:
    torch.manual_seed(0)
    model = SqueezeNet().eval().requires_grad_(False)
    for name, tensor in model.named_parameters():
        torch.nn.init.zeros_(tensor) if name.endswith("bias") else torch.nn.init.kaiming_normal_(tensor)
    return model


def pictures(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)


def as_images(levels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(levels).permute(0, 3, 1, 2).float() / 127.5 - 1


def stem_by_hand(net: SqueezeNet, levels: np.ndarray) -> np.ndarray:
    """Caffe's way, in numpy: BGR, minus ImageNet's mean, 3 x 3 windows of stride 2, ReLU."""
    bgr = levels[..., ::-1].astype(np.float64) - np.array([104.0, 117.0, 123.0])
    windows = np.lib.stride_tricks.sliding_window_view(bgr, (3, 3), axis=(1, 2))[:, ::2, ::2]
    weight, bias = net.conv1.weight.numpy().astype(np.float64), net.conv1.bias
    assert bias is not None
    return np.maximum(np.einsum("nhwcij,ocij->nohw", windows, weight) + bias.numpy()[None, :, None, None], 0)


def test_the_network_sees_what_it_was_trained_on(net: SqueezeNet) -> None:
    made, wanted = pictures(0), pictures(1)
    a, b = (stem_by_hand(net, levels) for levels in (made, wanted))
    expected = ((a - b) ** 2).mean((1, 2, 3)) / (b**2).mean()
    found = feature_error(net.features, as_images(made), as_images(wanted), depths=(0,))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-3)


def test_it_is_zero_for_equal_pictures_and_falls_as_pictures_come_nearer(net: SqueezeNet) -> None:
    wanted, other = as_images(pictures(1)), as_images(pictures(2))
    assert float(feature_error(net.features, wanted, wanted).abs().max()) == 0.0
    errors = [feature_error(net.features, torch.lerp(wanted, other, t), wanted).mean() for t in (0.2, 0.5, 1.0)]
    assert errors[0] < errors[1] < errors[2]


def test_the_scale_of_a_network_s_activations_changes_nothing(net: SqueezeNet) -> None:
    made, wanted = as_images(pictures(0)), as_images(pictures(1))
    scaled = [10.0, 0.01, 3.0]

    def features(images: torch.Tensor) -> list[torch.Tensor]:
        return [s * x for s, x in zip(scaled, net.features(images), strict=False)]

    torch.testing.assert_close(
        feature_error(features, made, wanted), feature_error(net.features, made, wanted), rtol=1e-4, atol=0
    )


def test_its_gradient_moves_a_picture_towards_the_target(net: SqueezeNet) -> None:
    wanted = as_images(pictures(1))
    made = F.avg_pool2d(wanted, 5, 1, 2).requires_grad_()
    before = feature_error(net.features, made, wanted).sum()
    (slope,) = torch.autograd.grad(before, made)
    after = feature_error(net.features, made - 0.5 * slope / slope.abs().max(), wanted).sum()
    assert float(after) < float(before)
