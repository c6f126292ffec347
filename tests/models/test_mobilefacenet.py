"""MobileFaceNet computes what its published layer list says, read by an interpreter that knows ncnn's layers only."""

import numpy as np
import pytest
import torch
from torch import Tensor

from rupantara.models.mobilefacenet import DIM, FEATURES_DIM, SIDE, STAGES, from_published, published_names
from tests.conftest import WEIGHTS
from tests.models.ncnn import interpret, last


class Net:
    """An ncnn layer list written layer by layer, with random tensors of its shapes."""

    def __init__(self, seed: int) -> None:
        self.rng, self.arrays, self.lines = np.random.default_rng(seed), {}, ["7767517", "0 0"]
        self._add("Input", "data", [])
        self._add("BinaryOp", "minus", ["data"], "0=1 1=1 2=127.5")
        self._add("BinaryOp", "mul", ["minus"], "0=2 1=1 2=0.0078125")
        self.top, self.channels = "mul", 3

    def _add(self, kind: str, name: str, inputs: list[str], options: str = "") -> None:
        self.lines.append(f"{kind} {name} {len(inputs)} 1 {' '.join(inputs)} {name} {options}")
        self.top = name

    def norm(self, name: str, out: int) -> None:
        for part, low, high in (("slope", 0.7, 1.4), ("mean", -0.3, 0.3), ("var", 0.5, 2), ("bias", -0.3, 0.3)):
            self.arrays[f"{name}.{part}"] = self.rng.uniform(low, high, out).astype(np.float32)
        self._add("BatchNorm", name, [self.top])

    def conv(self, name: str, out: int, side: int, *, stride=1, padding=0, depthwise=False, relu=True) -> None:
        inside = 1 if depthwise else self.channels
        weight = self.rng.normal(0, (1.6 / (inside * side * side)) ** 0.5, (out, inside, side, side))
        self.arrays[f"{name}_conv2d.weight"] = weight.astype(np.float32)
        kind = "ConvolutionDepthWise" if depthwise else "Convolution"
        self._add(kind, f"{name}_conv2d", [self.top], f"3={stride} 4={padding} 5=0 7={out if depthwise else 1}")
        self.norm(f"{name}_batchnorm", out)
        if relu:
            self.arrays[f"{name}_relu.slope"] = self.rng.uniform(0.1, 0.4, out).astype(np.float32)
            self._add("PReLU", f"{name}_relu", [self.top])
        self.channels = out

    def block(self, name: str, expanded: int, out: int, stride: int) -> None:
        entry = self.top
        self.conv(f"{name}_conv_sep", expanded, 1)
        self.conv(f"{name}_conv_dw", expanded, 3, stride=stride, padding=1, depthwise=True)
        self.conv(f"{name}_conv_proj", out, 1, relu=False)
        if stride == 1:
            self._add("BinaryOp", f"{name}_plus", [self.top, entry], "0=0")


def _published_style(seed: int) -> Net:
    """Write down insightface's y1: sizes of section 3.3 of the paper's table 1, halved as y1 has them."""
    net = Net(seed)
    net.conv("conv_1", 64, 3, stride=2, padding=1)
    net.conv("conv_2_dw", 64, 3, padding=1, depthwise=True)
    for number, entry, expanded, out, count in ((3, 128, 128, 64, 4), (4, 256, 256, 128, 6), (5, 512, 256, 128, 2)):
        net.block(f"dconv_{number - 1}{number}", entry, out, 2)
        for i in range(count):
            net.block(f"res_{number}_block{i}", expanded, out, 1)
    net.conv("conv_6sep", 512, 1)
    net.conv("conv_6dw7_7", 512, 7, depthwise=True, relu=False)
    net.arrays["pre_fc1.weight"] = net.rng.normal(0, 0.04, (128, 512)).astype(np.float32)
    net.arrays["pre_fc1.bias"] = net.rng.normal(0, 0.1, 128).astype(np.float32)
    net._add("InnerProduct", "pre_fc1", [net.top])
    net.norm("fc1", 128)
    return net


def _faces(number: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).uniform(0, 255, (number, 3, SIDE, SIDE)).astype(np.float32))


def _same(found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape == (len(expected), DIM)
    assert float(expected.std(0).mean()) > 1e-3, "the vectors must tell the pictures apart"
    assert float((found - expected).abs().max() / expected.abs().max()) < 2e-5


def test_random_tensors_under_the_published_names_give_what_the_layer_list_gives() -> None:
    net, faces = _published_style(1), _faces(2, 1)
    _same(from_published(net.arrays)(faces), last(interpret("\n".join(net.lines), net.arrays, faces)))


def test_the_features_are_what_the_layer_list_gives_before_its_inner_product() -> None:
    net, faces = _published_style(1), _faces(2, 1)
    expected = interpret("\n".join(net.lines), net.arrays, faces)["conv_6dw7_7_batchnorm"].flatten(1)
    found = from_published(net.arrays).features(faces)
    assert found.shape == expected.shape == (2, FEATURES_DIM)
    assert float((found - expected).abs().max() / expected.abs().max()) < 2e-5


def test_the_published_network_gives_what_its_own_param_file_says() -> None:
    param, tensors = WEIGHTS / "mobilefacenet.param", WEIGHTS / "mobilefacenet.npz"
    if not (param.exists() and tensors.exists()):
        pytest.skip(f"the published network is not in {WEIGHTS}")
    arrays, faces = dict(np.load(tensors)), _faces(2)
    # The file prints 1 / 128 with four digits.
    layers = param.read_text().replace("2=0.007813", "2=0.0078125")
    _same(from_published(arrays)(faces), last(interpret(layers, arrays, faces)))


def test_every_published_tensor_is_named_once_and_loaded() -> None:
    net = _published_style(0)
    layers = {name.rpartition(".")[0].removesuffix("_conv2d") for name in net.arrays if "_conv2d" in name}
    theirs = [name for _, name in published_names()]
    assert len(theirs) == len(set(theirs)) and set(theirs) == layers
    assert len(layers) == 2 + 3 * sum(1 + count for *_, count in STAGES) + 2
    loaded = [p for name, p in from_published(net.arrays).state_dict().items() if "num_batches" not in name]
    assert sum(p.numel() for p in loaded) == sum(array.size for array in net.arrays.values())


def test_gradients_reach_every_pixel_and_are_finite_differences() -> None:
    model = from_published(_published_style(2).arrays).double()
    faces = _faces(1).double().requires_grad_()
    direction = torch.randn(DIM, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    (model(faces)[0] @ direction).backward()
    gradient = faces.grad
    assert gradient is not None and (gradient != 0).float().mean() > 0.99
    assert all(p.grad is None for p in model.parameters())
    step = 1e-5 * torch.randn(faces.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        change = (model(faces + step) - model(faces - step))[0] @ direction
    assert float(change) == pytest.approx(2 * float((gradient * step).sum()), rel=1e-3)


@pytest.mark.parametrize(
    "name", ["pre_fc1.bias", "fc1.var", "conv_1_conv2d.weight", "res_4_block5_conv_dw_batchnorm.slope"]
)
def test_a_missing_tensor_is_named(name: str) -> None:
    arrays = _published_style(0).arrays
    del arrays[name]
    with pytest.raises(KeyError, match=name):
        from_published(arrays)


def test_a_missing_activation_or_a_wrong_shape_is_refused() -> None:
    arrays = _published_style(0).arrays
    with pytest.raises(RuntimeError, match=r"stem\.2\.weight"):
        from_published({name: array for name, array in arrays.items() if name != "conv_1_relu.slope"})
    with pytest.raises(RuntimeError, match="size mismatch"):
        from_published(arrays | {"pre_fc1.weight": np.zeros((64, 512), np.float32)})
