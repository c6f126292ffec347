"""Key maps of StyleGAN2's files: both ways, by name, and a pickle read without running it."""

import pickle
import sys
import types
from collections import OrderedDict

import numpy as np
import pytest
import torch

from rupantara.errors import UserError
from rupantara.models import stylegan2_keys as keys
from rupantara.models import stylegan2_pickle
from rupantara.models.stylegan2 import StyleGAN2, StyleGAN2Config

CONFIG = StyleGAN2Config(size=16, style_dim=12, most=8)


@pytest.fixture(scope="module")
def model() -> StyleGAN2:
    torch.manual_seed(0)
    made = StyleGAN2(CONFIG)
    for parameter in made.parameters():
        parameter.data.normal_()
    return made.eval().requires_grad_(False)


def test_published_names_are_known_literally() -> None:
    with torch.device("meta"):
        shapes = {n: tuple(t.shape) for n, t in StyleGAN2(StyleGAN2Config(1024)).state_dict().items()}
    assert shapes["style.8.weight"] == (512, 512)
    assert shapes["input.input"] == (1, 512, 4, 4)
    assert shapes["convs.15.conv.weight"] == (1, 32, 32, 3, 3)
    assert shapes["convs.14.conv.blur.kernel"] == (4, 4)
    assert shapes["convs.0.conv.modulation.bias"] == (512,)
    assert shapes["to_rgbs.7.bias"] == (1, 3, 1, 1)
    assert shapes["noises.noise_16"] == (1, 1, 1024, 1024)
    names = keys.key_map(1024)
    assert names["convs.14.conv.weight"] == "synthesis.b1024.conv0.weight"
    assert names["to_rgb1.conv.modulation.bias"] == "synthesis.b4.torgb.affine.bias"
    assert names["noises.noise_16"] == "synthesis.b1024.conv1.noise_const"
    assert len(set(names.values())) == len(names) == len([n for n in shapes if not n.endswith(".kernel")])


def test_renamed_to_nvlabs_and_back_nothing_changes(model: StyleGAN2) -> None:
    state = model.state_dict()
    theirs = keys.to_nvlabs(state, CONFIG.size)
    assert theirs["synthesis.b16.conv0.weight"].shape == (8, 8, 3, 3)
    assert theirs["synthesis.b4.torgb.bias"].shape == (3,)
    assert theirs["synthesis.b4.conv1.noise_strength"].shape == ()
    back = keys.from_nvlabs({**theirs, "mapping.w_avg": torch.zeros(12)}, CONFIG.size)
    for name, tensor in back.items():
        torch.testing.assert_close(tensor, state[name], rtol=0, atol=0)
    assert set(back) == {n for n in state if not n.endswith(".kernel")}
    with pytest.raises(UserError, match=r"synthesis\.b8\.conv1\.bias"):
        keys.from_nvlabs({n: t for n, t in theirs.items() if n != "synthesis.b8.conv1.bias"}, CONFIG.size)


@pytest.mark.parametrize("prefix", ["", "decoder."])
def test_a_file_loads_under_its_prefix_and_says_what_does_not_fit(model: StyleGAN2, prefix: str) -> None:
    state = {prefix + n: t for n, t in model.state_dict().items()} | {"encoder.input_layer.0.weight": torch.zeros(1)}
    state = state if prefix else {n: t for n, t in state.items() if not n.startswith("encoder")}
    loaded = keys.from_published(state, prefix)
    assert loaded.config.num_layers == CONFIG.num_layers
    w = torch.randn(1, 12)
    torch.testing.assert_close(loaded(w), model(w), rtol=0, atol=0)
    for change, said in (
        ({"convs.1.noise.weight": None}, r"must have the tensor convs\.1\.noise\.weight"),
        ({"convs.9.conv.weight": torch.zeros(1)}, r"no tensor convs\.9\.conv\.weight"),
        ({"to_rgbs.1.bias": torch.zeros(4)}, r"to_rgbs\.1\.bias must have shape \[1, 3, 1, 1\], got \[4\]"),
    ):
        changed = state | {prefix + n: t for n, t in change.items()}
        with pytest.raises(UserError, match=said):
            keys.from_published({n: t for n, t in changed.items() if t is not None}, prefix)
    with pytest.raises(UserError, match=r"input\.input"):
        keys.from_published({"style.1.weight": torch.zeros(2, 2)})


def _tensorflow(model: StyleGAN2) -> dict[str, np.ndarray]:
    """Lay a generator out as TensorFlow's variables, by the anchors' rules."""
    s = {n: t.numpy() for n, t in model.state_dict().items()}
    out = {"4x4/Const/const": s["input.input"], "noise0": s["noises.noise_0"]}
    for i in range(8):
        out |= {f"Dense{i}/weight": s[f"style.{i + 1}.weight"].T, f"Dense{i}/bias": s[f"style.{i + 1}.bias"]}
    pairs = [("conv1", "4x4/Conv"), ("to_rgb1", "4x4/ToRGB")]
    for i, side in enumerate((8, 16)):
        at = f"{side}x{side}"
        pairs += [
            (f"convs.{2 * i}", f"{at}/Conv0_up"),
            (f"convs.{2 * i + 1}", f"{at}/Conv1"),
            (f"to_rgbs.{i}", f"{at}/ToRGB"),
        ]
        out |= {f"noise{2 * i + j}": s[f"noises.noise_{2 * i + j}"] for j in (1, 2)}
    for ours, at in pairs:
        weight = s[f"{ours}.conv.weight"][0].transpose(2, 3, 1, 0)
        out[f"{at}/weight"] = weight[::-1, ::-1] if at.endswith("up") else weight
        out[f"{at}/mod_weight"] = s[f"{ours}.conv.modulation.weight"].T
        out[f"{at}/mod_bias"] = s[f"{ours}.conv.modulation.bias"] - 1
        out[f"{at}/bias"] = s[f"{ours}.bias" if "RGB" in at else f"{ours}.activate.bias"].reshape(-1)
        if "RGB" not in at:
            out[f"{at}/noise_strength"] = s[f"{ours}.noise.weight"].reshape(())
    return {name: np.array(value) for name, value in out.items()}


def test_tensorflows_variables_make_the_same_pictures(model: StyleGAN2) -> None:
    loaded = keys.from_published(keys.from_tensorflow(_tensorflow(model), CONFIG.size))
    w = torch.randn(2, 12)
    torch.testing.assert_close(loaded(w), model(w), rtol=1e-5, atol=1e-4)
    with pytest.raises(UserError, match="16x16/ToRGB/bias"):
        keys.from_tensorflow({n: v for n, v in _tensorflow(model).items() if n != "16x16/ToRGB/bias"}, CONFIG.size)


def _module(tensors: dict[str, torch.Tensor], reduced: type) -> object:
    """Nest tensors as a persistent module's state is pickled."""
    state: dict[str, dict] = {"_parameters": OrderedDict(), "_buffers": OrderedDict(), "_modules": OrderedDict()}
    inner: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        first, _, rest = name.partition(".")
        if rest:
            inner.setdefault(first, {})[rest] = tensor
        else:
            state["_buffers" if "noise_const" in name else "_parameters"][name] = tensor
    state["_modules"] |= {name: _module(part, reduced) for name, part in inner.items()}
    return reduced({"class_name": "Generator", "module_src": "raise SystemExit('the source ran')", "state": state})


def _pickled(made: object, module: types.ModuleType) -> bytes:
    """Pickle where the writer's module can be imported; the reader's process has none."""
    names = module.__name__.split(".")
    packages = {".".join(names[:i]): types.ModuleType(names[i - 1]) for i in range(1, len(names))}
    with pytest.MonkeyPatch.context() as patch:
        for name, one in (packages | {module.__name__: module}).items():
            patch.setitem(sys.modules, name, one)
        return pickle.dumps(made)


def test_a_pickle_of_pytorch_is_read_and_its_source_is_not_run(model: StyleGAN2) -> None:
    module = types.ModuleType("torch_utils.persistence")
    exec("def _reconstruct_persistent_obj(meta): raise SystemExit('it ran')", module.__dict__)
    build = module._reconstruct_persistent_obj
    build.__module__ = "torch_utils.persistence"

    class Persistent:
        def __init__(self, meta: dict) -> None:
            self.meta = meta

        def __reduce__(self) -> tuple:
            return (build, (self.meta,))

    state = keys.to_nvlabs(model.state_dict(), CONFIG.size)
    state = {n: torch.nn.Parameter(t) if n.endswith("weight") else t for n, t in state.items()}
    data = _pickled({"G_ema": _module(state, Persistent), "D": _module({}, Persistent)}, module)
    found = stylegan2_pickle.read(data)
    w = torch.randn(1, 12)
    torch.testing.assert_close(keys.from_published(found)(w), model(w), rtol=0, atol=0)


def test_a_pickle_of_tensorflow_is_read(model: StyleGAN2) -> None:
    module = types.ModuleType("dnnlib.tflib.network")

    class Network:
        def __init__(self, state: dict) -> None:
            self.__dict__.update(state)

    Network.__module__, Network.__qualname__ = module.__name__, "Network"
    module.Network = Network  # ty: ignore[unresolved-attribute]
    names = _tensorflow(model)
    parts = {
        part: Network(
            {"variables": [(n, v) for n, v in names.items() if n.startswith("Dense") == dense], "components": {}}
        )
        for part, dense in (("mapping", True), ("synthesis", False))
    }
    whole = Network({"variables": [("dlatent_avg", np.zeros(12))], "components": parts})
    data = _pickled((None, None, whole), module)
    found = stylegan2_pickle.read(data)
    w = torch.randn(1, 12)
    torch.testing.assert_close(keys.from_published(found)(w), model(w), rtol=1e-5, atol=1e-4)


def test_a_hostile_pickle_runs_nothing(tmp_path) -> None:
    marker = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> tuple:
            import os

            return (os.system, (f"touch {marker}",))

    with pytest.raises(UserError):
        stylegan2_pickle.read(pickle.dumps({"G_ema": Evil()}))
    assert not marker.exists()
    with pytest.raises(UserError, match="must be a pickle"):
        stylegan2_pickle.read(b"no pickle")
