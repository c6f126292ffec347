"""Names of StyleGAN2's tensors: rosinality's (ours), NVLabs' of PyTorch and of TensorFlow, mapped both ways; and loading them.

Rosinality's `stylegan2-ffhq-config-f.pt` is `{"g_ema": tensors, "latent_avg": [512]}`; `e4e_ffhq_encode.pt` holds the same names after
`decoder.`. NVLabs' PyTorch file has the same numbers under other names; TensorFlow's is laid out otherwise (see `from_tensorflow`).
"""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from rupantara.errors import UserError
from rupantara.models.stylegan2 import MAPPING_LAYERS, StyleGAN2, StyleGAN2Config

CONV = {
    "conv.weight": "weight",
    "conv.modulation.weight": "affine.weight",
    "conv.modulation.bias": "affine.bias",
    "noise.weight": "noise_strength",
    "activate.bias": "bias",
}
RGB = {
    "conv.weight": "weight",
    "conv.modulation.weight": "affine.weight",
    "conv.modulation.bias": "affine.bias",
    "bias": "bias",
}
"""Within a layer: our name and NVLabs'."""


def _layers(size: int) -> Iterator[tuple[str, str, int]]:
    """Yield (our layer, NVLabs' layer, number of its noise map, -1 for colours), coarse to fine."""
    yield "conv1", "synthesis.b4.conv1", 0
    yield "to_rgb1", "synthesis.b4.torgb", -1
    for i in range(size.bit_length() - 3):
        block = f"synthesis.b{8 << i}"
        yield f"convs.{2 * i}", f"{block}.conv0", 2 * i + 1
        yield f"convs.{2 * i + 1}", f"{block}.conv1", 2 * i + 2
        yield f"to_rgbs.{i}", f"{block}.torgb", -1


def key_map(size: int) -> dict[str, str]:
    """Return for each of our tensors NVLabs' name, for a generator of this size; blurs' kernels are constants and have none."""
    names = {"input.input": "synthesis.b4.const"}
    for i in range(MAPPING_LAYERS):
        names |= {f"style.{i + 1}.{part}": f"mapping.fc{i}.{part}" for part in ("weight", "bias")}
    for ours, theirs, noise in _layers(size):
        names |= {f"{ours}.{a}": f"{theirs}.{b}" for a, b in (CONV if noise >= 0 else RGB).items()}
        if noise >= 0:
            names[f"noises.noise_{noise}"] = f"{theirs}.noise_const"
    return names


def from_nvlabs(state: Mapping[str, Tensor], size: int) -> dict[str, Tensor]:
    """Rename NVLabs' tensors (a generator's `state_dict` of stylegan2-ada-pytorch) to ours; UserError names what does not fit."""
    found = {n: t for n, t in state.items() if not n.endswith("resample_filter") and n != "mapping.w_avg"}
    back = {theirs: ours for ours, theirs in key_map(size).items()}
    demand("NVLabs' file", set(back), set(found))
    return {back[name]: _to_ours(back[name], tensor) for name, tensor in found.items()}


def to_nvlabs(state: Mapping[str, Tensor], size: int) -> dict[str, Tensor]:
    """Rename our tensors to NVLabs' and lay them out as theirs; the way back of `from_nvlabs`."""
    names = key_map(size)
    found = {name: tensor for name, tensor in state.items() if not name.endswith(".kernel")}
    demand("the generator", set(names), set(found))
    return {names[name]: _to_theirs(name, tensor) for name, tensor in found.items()}


def _to_ours(name: str, tensor: Tensor) -> Tensor:
    if name.endswith("conv.weight") or name == "input.input":
        return tensor[None]
    if name.startswith("noises."):
        return tensor[None, None]
    if name.endswith("noise.weight"):
        return tensor.reshape(1)
    return tensor.view(1, 3, 1, 1) if name.startswith("to_rgb") and name.split(".")[-2] not in _INNER else tensor


def _to_theirs(name: str, tensor: Tensor) -> Tensor:
    if name.endswith("conv.weight") or name == "input.input":
        return tensor[0]
    if name.startswith("noises."):
        return tensor[0, 0]
    if name.endswith("noise.weight"):
        return tensor.reshape(())
    return tensor.reshape(3) if name.startswith("to_rgb") and name.split(".")[-2] not in _INNER else tensor


_INNER = ("conv", "modulation")


def from_tensorflow(variables: Mapping[str, np.ndarray], size: int) -> dict[str, Tensor]:
    """Turn the variables of NVLabs' TensorFlow generator (`G_mapping/…` and `G_synthesis/…` without those prefixes) into ours.

    Convolutions are HWIO, those that double the sides spatially flipped; dense layers are [in, out]; modulation biases lack 1.
    """
    out: dict[str, np.ndarray] = {"input.input": _take(variables, "4x4/Const/const")}
    for i in range(MAPPING_LAYERS):
        out[f"style.{i + 1}.weight"] = _take(variables, f"Dense{i}/weight").T
        out[f"style.{i + 1}.bias"] = _take(variables, f"Dense{i}/bias")
    for ours, theirs, noise in _layers(size):
        _, block, layer = theirs.split(".")
        side = block.removeprefix("b")
        names = {"torgb": "ToRGB", "conv0": "Conv0_up", "conv1": "Conv" if side == "4" else "Conv1"}
        at = f"{side}x{side}/{names[layer]}"
        weight = _take(variables, f"{at}/weight").transpose(3, 2, 0, 1)
        out[f"{ours}.conv.weight"] = (weight[:, :, ::-1, ::-1] if layer == "conv0" else weight)[None]
        out[f"{ours}.conv.modulation.weight"] = _take(variables, f"{at}/mod_weight").T
        out[f"{ours}.conv.modulation.bias"] = _take(variables, f"{at}/mod_bias") + 1
        bias = _take(variables, f"{at}/bias")
        if noise < 0:
            out[f"{ours}.bias"] = bias.reshape(1, 3, 1, 1)
            continue
        out |= {
            f"{ours}.activate.bias": bias,
            f"{ours}.noise.weight": _take(variables, f"{at}/noise_strength").reshape(1),
        }
        out[f"noises.noise_{noise}"] = _take(variables, f"noise{noise}")
    return {name: torch.from_numpy(np.ascontiguousarray(value, np.float32)) for name, value in out.items()}


def _take(variables: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    if name not in variables:
        raise UserError(f"TensorFlow's generator must have the variable {name}, it has not")
    return variables[name]


def demand(subject: str, wanted: set[str], found: set[str]) -> None:
    """Raise UserError that names the first tensor that is missing, or one too many."""
    if missing := sorted(wanted - found):
        raise UserError(f"{subject} must have the tensor {missing[0]} ({len(missing)} are missing), it has not")
    if extra := sorted(found - wanted):
        raise UserError(f"{subject} must have no tensor {extra[0]} ({len(extra)} are not known), it has")


def config_of(state: Mapping[str, Tensor]) -> StyleGAN2Config:
    """Read the sizes off our tensors; UserError where they are not a generator's."""
    noises = [t.shape[-1] for n, t in state.items() if n.startswith("noises.noise_")]
    if not noises or "input.input" not in state or "style.1.weight" not in state:
        raise UserError("a StyleGAN2 generator must have input.input, style.1.weight and noises.noise_0, it has not")
    size, top = max(noises), state["input.input"].shape[1]
    doubles = [state[f"convs.{2 * i + 1}.conv.weight"].shape[1] for i in range(size.bit_length() - 3)]
    widths = {8 << i: width for i, width in enumerate(doubles)}
    wide = widths.get(128, widths.get(64, 0))
    multiplier = max(1, wide * (128 if 128 in widths else 64) // 16384) if wide else 2
    return StyleGAN2Config(size, state["style.1.weight"].shape[0], multiplier, top)


def from_published(state: Mapping[str, Tensor], prefix: str = "") -> StyleGAN2:
    """Build the generator of rosinality's tensors, after a prefix (`decoder.` in e4e's file); UserError names what does not fit."""
    found = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    model = StyleGAN2(config_of(found))
    own = model.state_dict()
    demand(
        "the generator's file",
        {n for n in own if not n.endswith(".kernel")},
        {n for n in found if not n.endswith(".kernel")},
    )
    for name, tensor in found.items():
        if name not in own:
            raise UserError(f"the generator's file must have no tensor {name}, it has")
        if own[name].shape != tensor.shape:
            raise UserError(f"{name} must have shape {list(own[name].shape)}, got {list(tensor.shape)}")
    model.load_state_dict({**own, **found})
    return model.eval().requires_grad_(False)
