"""VGG-Face is the published network, and its three layouts are one."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from rupantara.models import vggface
from rupantara.models.vggface import MEAN_RGB, VGGFace, build, from_keras, from_pytorch

WIDTH, SIDE, FC = 16, 64, 24
"""A small network: channels of 4 to 32 and two pixels a side before fc6."""

CHANNELS = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
"""Table 3 of Parkhi et al., layers 1 to 30: the convolutions' filters, all 3 x 3."""

POOLED_AFTER = (1, 3, 6, 9, 12)


def _tensors(seed: int, channels: tuple[int, ...] = CHANNELS, grid: int = 1, fc: int = FC) -> dict[str, Tensor]:
    """Draw the tensors of a network of some size under the names of the published RGB file."""
    generator = torch.Generator().manual_seed(seed)
    shapes: dict[str, tuple[int, ...]] = {}
    inside = 3
    for name, out in zip(vggface.CONVS, channels, strict=True):
        shapes[name], inside = (out, inside, 3, 3), out
    shapes |= {"fc6": (fc, inside * grid * grid), "fc7": (fc, fc), "fc8": (3, fc)}
    state = {}
    for name, shape in shapes.items():
        state[f"{name}.weight"] = torch.randn(shape, generator=generator) * (2 / np.prod(shape[1:])) ** 0.5
        state[f"{name}.bias"] = 0.1 * torch.randn(shape[0], generator=generator)
    return state


def _reference(state: dict[str, Tensor], faces: Tensor) -> Tensor:
    """Compute table 3 of the paper in functions, without this library: mean, 13 convolutions, 5 poolings, fc6 and fc7."""
    x = faces - torch.tensor(MEAN_RGB)[None, :, None, None]
    for i, name in enumerate(n.removesuffix(".weight") for n in state if n.startswith("conv") and "weight" in n):
        x = F.relu(F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], padding=1))
        if i in POOLED_AFTER:
            x = F.max_pool2d(x, 2, 2)
    x = x.reshape(len(x), -1)
    x = F.relu(F.linear(x, state["fc6.weight"], state["fc6.bias"]))
    return F.linear(x, state["fc7.weight"], state["fc7.bias"])


def _small(state: dict[str, Tensor]) -> VGGFace:
    model = VGGFace(width=WIDTH, fc_dim=FC, side=SIDE)
    model.load_state_dict({name: t for name, t in state.items() if not name.startswith("fc8")})
    return model.eval()


def _faces(number: int = 2, side: int = SIDE) -> Tensor:
    return torch.rand(number, 3, side, side, generator=torch.Generator().manual_seed(9)) * 255


SMALL = tuple(c // WIDTH for c in CHANNELS)


def _same(found: Tensor, expected: Tensor) -> None:
    assert float((expected[0] - expected[1]).abs().max()) > 1e-2, "the vectors must tell the faces apart"
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_the_published_size_has_the_literature_s_parameters() -> None:
    """VGG-16 with 1000 classes has 138,357,544; its last layer 4096 * 1000 + 1000 = 4,097,000; the rest is 134,260,544."""
    with torch.device("meta"):
        shapes = {name: tuple(p.shape) for name, p in VGGFace().named_parameters()}
    convs = sum(9 * i * o + o for i, o in zip((3, *CHANNELS), CHANNELS, strict=False))
    fc6, fc7 = 25088 * 4096 + 4096, 4096 * 4096 + 4096
    assert convs == 14_714_688
    assert convs + fc6 + fc7 == 138_357_544 - 4_097_000 == 134_260_544
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == 134_260_544
    assert [shapes[f"{name}.weight"][0] for name in vggface.CONVS] == list(CHANNELS)
    assert shapes["fc6.weight"] == (4096, 512 * 7 * 7) and shapes["fc7.weight"] == (4096, 4096)
    assert not any(name.startswith("fc8") for name in shapes)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_small_network_is_the_paper_s_table_in_functions(seed: int) -> None:
    state = _tensors(seed, SMALL, SIDE // 32)
    _same(_small(state)(_faces()), _reference(state, _faces()))


def test_a_face_of_the_mean_colour_is_a_black_one_to_the_network() -> None:
    state = _tensors(0, SMALL, SIDE // 32)
    state |= {name: torch.zeros_like(t) for name, t in state.items() if name.startswith("conv") and "bias" in name}
    mean = torch.tensor(MEAN_RGB)[None, :, None, None].expand(1, 3, SIDE, SIDE)
    expected = F.linear(F.relu(state["fc6.bias"]), state["fc7.weight"], state["fc7.bias"])
    torch.testing.assert_close(_small(state)(mean)[0], expected, rtol=1e-4, atol=1e-5)


def test_gradients_reach_the_picture() -> None:
    faces = _faces().requires_grad_()
    _small(_tensors(0, SMALL, SIDE // 32))(faces).square().sum().backward()
    assert faces.grad is not None and (faces.grad != 0).float().mean() > 0.5


def test_rgb_names_load_as_they_are_and_fc8_is_left_out() -> None:
    state = _tensors(0, SMALL, SIDE // 32)
    renamed = from_pytorch({name: t.double() for name, t in state.items()})
    assert renamed.keys() == {name for name in state if not name.startswith("fc8")}
    _same(_small(renamed)(_faces()), _reference(state, _faces()))


def test_bgr_names_give_for_rgb_faces_what_the_published_network_gives_for_bgr_ones() -> None:
    """The published one is fed BGR less the BGR mean."""
    state = _tensors(1, SMALL, SIDE // 32)
    theirs = {name.replace("conv", "conv_"): t.clone() for name, t in state.items()}
    before = theirs["conv_1_1.weight"].clone()
    x = (_faces() - torch.tensor(MEAN_RGB)[None, :, None, None]).flip(1)
    expected = _reference(state, x + torch.tensor(MEAN_RGB)[None, :, None, None])
    _same(_small(from_pytorch(theirs))(_faces()), expected)
    assert torch.equal(theirs["conv_1_1.weight"], before)
    assert float((_reference(state, _faces()) - expected).abs().max()) > 0.1


def test_a_missing_tensor_is_named() -> None:
    state = _tensors(0, SMALL, SIDE // 32)
    del state["conv4_2.bias"]
    with pytest.raises(KeyError, match=r"conv4_2\.bias"):
        from_pytorch(state)


def _to_keras(state: dict[str, Tensor], grid: int, layout: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Write our tensors as Keras has them, fed BGR: HWIO kernels; fc6 over HWC features, or as a convolution of the grid."""
    kernels = {}
    for name in vggface.LAYERS:
        weight, bias = state[f"{name}.weight"].numpy(), state[f"{name}.bias"].numpy()
        if name == "conv1_1":
            weight = weight[:, ::-1]
        if name == "fc6":
            out, channels = len(weight), weight.shape[1] // grid**2
            by_place = np.empty((grid, grid, channels, out), np.float32)
            for y in range(grid):
                for x in range(grid):
                    for c in range(channels):
                        by_place[y, x, c] = weight[:, (c * grid + y) * grid + x]
            weight = by_place if layout == "convolutions" else by_place.reshape(-1, out)
        elif name.startswith("fc"):
            weight = weight.T[None, None] if layout == "convolutions" else weight.T
        else:
            weight = np.einsum("oihw->hwio", weight)
        kernels[f"layer_{name}"] = (np.ascontiguousarray(weight), bias)
    return kernels


@pytest.mark.parametrize("layout", ["matrices", "convolutions"])
@pytest.mark.parametrize("grid", [1, 2, 7])
def test_keras_tensors_come_back_as_the_ones_they_were_written_from(layout: str, grid: int) -> None:
    """The last block has the published 512 channels, which tell fc6's grid; the others are few."""
    state = _tensors(grid, (4,) * 12 + (512,), grid, fc=8)
    found = from_keras(_to_keras(state, grid, layout))
    assert found.keys() == {name for name in state if not name.startswith("fc8")}
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, state[name], rtol=0, atol=0)


@pytest.mark.parametrize("layout", ["matrices", "convolutions"])
def test_a_keras_network_fed_bgr_in_hwc_order_gives_our_vectors(layout: str) -> None:
    """Keras' forward with its own tensors: fc6 over features flattened height, width, channel, or as a valid convolution."""
    state = _tensors(3, (4,) * 12 + (512,), 2)
    kernels = list(_to_keras(state, 2, layout).values())
    x = (_faces() - torch.tensor(MEAN_RGB)[None, :, None, None]).flip(1)
    for i, (kernel, bias) in enumerate(kernels[:13]):
        weight = torch.from_numpy(kernel).permute(3, 2, 0, 1)
        x = F.relu(F.conv2d(x, weight, torch.from_numpy(bias), padding=1))
        x = F.max_pool2d(x, 2) if i in POOLED_AFTER else x
    (fc6, bias6), (fc7, bias7) = kernels[13:15]
    hwc = x.permute(0, 2, 3, 1).numpy()
    if layout == "convolutions":
        hidden = np.maximum(np.einsum("nhwc,hwco->no", hwc, fc6) + bias6, 0)
        expected = np.einsum("nc,hwco->no", hidden, fc7) + bias7
    else:
        expected = np.maximum(hwc.reshape(len(hwc), -1) @ fc6 + bias6, 0) @ fc7 + bias7
    _same(_reference(from_keras(dict(enumerate(kernels))), _faces()), torch.from_numpy(expected))


def test_a_state_of_the_wrong_size_is_refused() -> None:
    with pytest.raises(RuntimeError, match="size mismatch"):
        build({name: t for name, t in _tensors(0, SMALL, 2).items() if not name.startswith("fc8")})
