"""SqueezeNet computes what its published layer list says; its taps are the layer list's blobs; gradients and errors."""

import numpy as np
import pytest
import torch
from torch import Tensor

from rupantara.models.squeezenet import BGR_MEAN, CHANNELS, FIRES, SqueezeNet, from_published
from tests.conftest import WEIGHTS
from tests.models.ncnn import interpret, last

DEPTHS = ("conv1_relu", *(f"fire{n}/concat" for n in (3, 5, 6, 7, 8, 9)))
"""Blobs of `_layers` at LPIPS's seven depths."""


def _layers() -> str:
    """Write the layer list down from Caffe's deploy.prototxt of SqueezeNet v1.1."""
    lines = ["7767517", "0 0", "Input data 0 1 data", "Convolution conv1 1 1 data conv1 0=64 1=3 3=2 4=0 5=1"]
    lines.append("ReLU relu_conv1 1 1 conv1 conv1_relu")
    top = "conv1_relu"
    for number in range(2, 10):
        if number in (2, 4, 6):
            lines.append(f"Pooling pool{number} 1 1 {top} pool{number} 0=0 1=3 2=2 3=0 4=0")
            top = f"pool{number}"
        fire = f"fire{number}/"
        lines.append(f"Convolution {fire}squeeze1x1 1 1 {top} {fire}squeeze1x1 1=1 3=1 4=0 5=1")
        lines.append(f"ReLU {fire}relu 1 1 {fire}squeeze1x1 {fire}squeezed")
        for side, padding in ((1, 0), (3, 1)):
            name = f"{fire}expand{side}x{side}"
            lines.append(f"Convolution {name} 1 1 {fire}squeezed {name} 1={side} 3=1 4={padding} 5=1")
            lines.append(f"ReLU {name}_relu 1 1 {name} {name}_relu")
        both = " ".join(f"{fire}expand{side}x{side}_relu" for side in (1, 3))
        top = f"{fire}concat"
        lines.append(f"Concat {top} 2 1 {both} {top} 0=0")
    lines += [f"Dropout drop9 1 1 {top} drop9", "Convolution conv10 1 1 drop9 conv10 1=1 3=1 4=1 5=1"]
    lines += ["ReLU relu_conv10 1 1 conv10 conv10_relu", "Pooling pool10 1 1 conv10_relu pool10 0=1 1=0 2=1 3=0 4=1"]
    return "\n".join([*lines, "Softmax prob 1 1 pool10 prob 0=0"])


def _tensors(seed: int) -> dict[str, np.ndarray]:
    """Draw tensors of the published names and shapes, of He's variance."""
    rng, out = np.random.default_rng(seed), {}
    shapes = {"conv1": (64, 3, 3, 3), "conv10": (1000, 512, 1, 1)}
    for number, (inside, squeezed, expanded) in enumerate(FIRES, 2):
        shapes[f"fire{number}/squeeze1x1"] = (squeezed, inside, 1, 1)
        shapes |= {f"fire{number}/expand{s}x{s}": (expanded, squeezed, s, s) for s in (1, 3)}
    for name, shape in shapes.items():
        scale = 0.01 if name == "conv1" else 1.0  # Levels of a picture are of order 100.
        out[f"{name}.weight"] = rng.normal(0, scale * (2 / np.prod(shape[1:])) ** 0.5, shape).astype(np.float32)
        out[f"{name}.bias"] = rng.uniform(-0.1, 0.1, shape[0]).astype(np.float32)
    return out


def _pictures(number: int, side: int, seed: int = 0) -> Tensor:
    return torch.rand(number, 3, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def _levels(images: Tensor) -> Tensor:
    """BGR levels less Caffe's mean, by numpy."""
    levels = (images.numpy().astype(np.float64)[:, ::-1] + 1) * 127.5 - np.array(BGR_MEAN)[:, None, None]
    return torch.from_numpy(levels.astype(np.float32))


def _same(found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape
    assert float(expected.std()) > 0
    assert float((found - expected).abs().max() / expected.abs().max()) < 2e-5


@pytest.mark.parametrize("side", [47, 50])
def test_probabilities_and_taps_are_those_of_the_layer_list(side: int) -> None:
    arrays, images = _tensors(1), _pictures(2, side)
    model = from_published(arrays)
    blobs = interpret(_layers(), arrays, _levels(images))
    found = model.features(images)
    assert [x.shape[1] for x in found] == list(CHANNELS)
    for x, name in zip(found, DEPTHS, strict=True):
        _same(x, blobs[name])
    _same(model.pooled(images), blobs["fire9/concat"].mean((2, 3)))
    _same(model(images), last(blobs))
    torch.testing.assert_close(model(images).sum(1), torch.ones(2))


def test_the_published_network_gives_what_its_own_param_file_says() -> None:
    param, tensors = WEIGHTS / "squeezenet_v1.1.param", WEIGHTS / "squeezenet_v1.1.npz"
    if not (param.exists() and tensors.exists()):
        pytest.skip(f"the published network is not in {WEIGHTS}")
    arrays, images = dict(np.load(tensors)), _pictures(1, 227)
    _same(from_published(arrays)(images), last(interpret(param.read_text(), arrays, _levels(images))))


def test_gradients_are_finite_differences_and_weights_get_none() -> None:
    model = from_published(_tensors(2)).double()
    images = _pictures(1, 35).double().requires_grad_()
    direction = torch.randn(512, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    (model.pooled(images)[0] @ direction).backward()
    gradient = images.grad
    assert gradient is not None and all(p.grad is None for p in model.parameters())
    step = 1e-6 * torch.randn(images.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        change = (model.pooled(images + step) - model.pooled(images - step))[0] @ direction
    assert float(change) == pytest.approx(2 * float((gradient * step).sum()), rel=1e-3)


def test_every_published_tensor_is_loaded_and_a_missing_or_strange_one_is_named() -> None:
    arrays = _tensors(0)
    loaded = SqueezeNet().state_dict()
    assert sum(p.numel() for p in loaded.values()) == sum(a.size for a in arrays.values()) == 1_235_496
    with pytest.raises(RuntimeError, match=r"fires\.7\.expand3x3\.bias"):
        from_published({k: v for k, v in arrays.items() if k != "fire9/expand3x3.bias"})
    with pytest.raises(RuntimeError, match="fire10"):
        from_published(arrays | {"fire10/squeeze1x1.weight": np.zeros((1, 1, 1, 1), np.float32)})
    with pytest.raises(RuntimeError, match="size mismatch"):
        from_published(arrays | {"conv10.bias": np.zeros(10, np.float32)})
