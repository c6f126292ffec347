"""VGG-Face's published files are found by name and read in the order of their layers."""

import io
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from rupantara.errors import MissingError, UserError
from rupantara.features.vggface_files import find_vggface, keras_kernels, load_vggface
from rupantara.models import vggface

CHANNELS = (4,) * 12 + (512,)


def _state(seed: int) -> dict[str, torch.Tensor]:
    generator, inside, state = torch.Generator().manual_seed(seed), 3, {}
    for name, out in zip(vggface.CONVS, CHANNELS, strict=True):
        state[f"{name}.weight"], inside = torch.randn(out, inside, 3, 3, generator=generator), out
    for name, shape in (("fc6", (8, 512)), ("fc7", (8, 8)), ("fc8", (5, 8))):
        state[f"{name}.weight"] = torch.randn(shape, generator=generator)
    biases = {f"{name}.bias": torch.randn(len(state[f"{name}.weight"]), generator=generator) for name in vggface.LAYERS}
    return state | biases


def _keras_file(layers: dict[str, list[np.ndarray]], *, as_bytes: bool) -> bytes:
    """Write a weights file as Keras 2 does: groups in any order, attributes that name layers and tensors in theirs."""

    def text(names: list[str]) -> list[str] | list[bytes]:
        return [name.encode() for name in names] if as_bytes else names

    sink = io.BytesIO()
    with h5py.File(sink, "w") as file:
        file.attrs["layer_names"] = text(list(layers))
        for layer, tensors in reversed(layers.items()):
            names = [f"{layer}/{kind}:0" for kind in ("kernel", "bias", "mean", "variance")][: len(tensors)]
            group = file.create_group(layer)
            group.attrs["weight_names"] = text(names) or np.zeros(0, "S1")
            for name, tensor in zip(names, tensors, strict=True):
                group[name] = tensor
    return sink.getvalue()


@pytest.mark.parametrize("as_bytes", [True, False])
def test_kernels_come_in_the_layers_order_and_layers_without_are_passed_over(as_bytes: bool) -> None:
    """Not in that of the names, which h5py gives: conv2d_10 sorts before conv2d_9, and bias before kernel."""
    rng = np.random.default_rng(0)
    kernels = {
        name: [rng.normal(size=(3, 3, 2, 2)), rng.normal(size=2)] for name in ("conv2d_9", "conv2d_10", "a_last")
    }
    layers = {
        "input": [],
        **dict(list(kernels.items())[:1]),
        "z_pool": [],
        **dict(list(kernels.items())[1:]),
        "flat": [],
    }
    found = list(keras_kernels(_keras_file(layers, as_bytes=as_bytes)).values())
    assert len(found) == 3
    for (kernel, bias), expected in zip(found, kernels.values(), strict=True):
        np.testing.assert_array_equal(kernel, expected[0])
        np.testing.assert_array_equal(bias, expected[1])


def test_a_keras_file_in_a_folder_is_the_network_it_was_written_from(tmp_path: Path) -> None:
    state, layers = _state(0), {}
    for name in vggface.LAYERS:
        weight = state[f"{name}.weight"].numpy()
        weight = weight[:, ::-1] if name == "conv1_1" else weight
        kernel = weight.transpose(2, 3, 1, 0) if name in vggface.CONVS else weight.T
        layers[name] = [kernel, state[f"{name}.bias"].numpy()]
        if name.endswith("_2"):
            layers[f"pool_after_{name}"] = []
    (tmp_path / "rcmalli_vggface_tf_vgg16.h5").write_bytes(_keras_file(layers, as_bytes=True))
    assert find_vggface(str(tmp_path)) == "vggface_keras"
    _equal(load_vggface(str(tmp_path)), state)


@pytest.mark.parametrize(("file", "bgr"), [("vgg_face_dag.pth", False), ("vgg_face_caffe.pth", True)])
def test_a_pytorch_file_in_a_folder_is_the_network_it_was_written_from(tmp_path: Path, file: str, bgr: bool) -> None:
    state = _state(1)
    written = {name.replace("conv", "conv_"): tensor for name, tensor in state.items()} if bgr else dict(state)
    if bgr:
        written["conv_1_1.weight"] = state["conv1_1.weight"].flip(1)
    torch.save(written, tmp_path / file)
    _equal(load_vggface(str(tmp_path)), state)


def _equal(found: dict[str, torch.Tensor], state: dict[str, torch.Tensor]) -> None:
    assert found.keys() == {name for name in state if not name.startswith("fc8")}
    for name, tensor in found.items():
        assert torch.equal(tensor, state[name]), name


@pytest.mark.parametrize("folder", ["", "/nowhere"])
def test_a_folder_without_any_names_the_files_that_would_do(folder: str) -> None:
    with pytest.raises(MissingError, match=r"vgg_face_dag\.pth.*rcmalli_vggface_tf_vgg16\.h5") as caught:
        find_vggface(folder)
    assert repr(folder) in str(caught.value)


@pytest.mark.parametrize("name", ["vgg_face_dag.pth", "rcmalli_vggface_tf_vgg16.h5"])
def test_a_file_that_is_something_else_is_one_clear_line(tmp_path, name: str) -> None:
    (tmp_path / name).write_bytes(b"not a network at all")
    with pytest.raises(UserError, match="must hold VGG-Face's tensors") as caught:
        load_vggface(str(tmp_path))
    assert "\n" not in str(caught.value)
