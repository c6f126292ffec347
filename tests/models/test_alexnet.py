"""AlexNet: taps against scipy's correlations, shapes, and what is refused."""

import numpy as np
import pytest
import torch
from scipy.signal import correlate
from torch import Tensor

from rupantara.models.alexnet import from_published

CONVOLUTIONS = ((0, 3, 64, 11), (3, 64, 192, 5), (6, 192, 384, 3), (8, 384, 256, 3), (10, 256, 256, 3))
"""(number in torchvision's `features`, channels in, out, side)."""


def published() -> dict[str, Tensor]:
    generator, out = torch.Generator().manual_seed(0), {}
    for number, inside, outside, side in CONVOLUTIONS:
        weight = torch.randn(outside, inside, side, side, generator=generator) * (2 / (side**2 * inside)) ** 0.5
        out |= {
            f"features.{number}.weight": weight,
            f"features.{number}.bias": torch.rand(outside, generator=generator),
        }
    return out | {"classifier.1.bias": torch.zeros(4096)}


def test_taps_are_those_of_the_layers_computed_by_hand() -> None:
    state, images = published(), torch.rand(1, 3, 67, 67, generator=torch.Generator().manual_seed(1)) * 2 - 1
    found = from_published(state).features(images)
    assert [tuple(x.shape[1:]) for x in found] == [(64, 16, 16), (192, 7, 7), (384, 3, 3), (256, 3, 3), (256, 3, 3)]
    x = ((images[0].double() + 1) / 2 - torch.tensor([[[0.485]], [[0.456]], [[0.406]]])) / torch.tensor(
        [[[0.229]], [[0.224]], [[0.225]]]
    )
    one = correlate(
        np.pad(x.numpy(), ((0, 0), (2, 2), (2, 2))), state["features.0.weight"][5].double().numpy(), "valid"
    )[0]
    one = np.maximum(one[::4, ::4] + float(state["features.0.bias"][5]), 0)
    np.testing.assert_allclose(found[0][0, 5], one, rtol=1e-4, atol=1e-4)
    pooled = torch.stack([found[0][0, :, i : i + 14 : 2, j : j + 14 : 2] for i in range(3) for j in range(3)]).amax(0)
    padded = np.pad(pooled.double().numpy(), ((0, 0), (2, 2), (2, 2)))
    two = correlate(padded, state["features.3.weight"][7].double().numpy(), "valid")[0] + float(
        state["features.3.bias"][7]
    )
    np.testing.assert_allclose(found[1][0, 7], np.maximum(two, 0), rtol=1e-4, atol=1e-4)


def test_a_missing_convolution_is_named_and_weights_are_frozen() -> None:
    state = published()
    assert not any(p.requires_grad for p in from_published(state).parameters())
    with pytest.raises(RuntimeError, match=r"8\.bias"):
        from_published({k: v for k, v in state.items() if k != "features.8.bias"})
