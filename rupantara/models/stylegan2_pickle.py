"""Convert NVLabs' `.pkl` of StyleGAN2 into safetensors, offline and apart.

    python -m rupantara.models.stylegan2_pickle FILE.pkl OUT.safetensors

A pickle can run any program when it is opened the usual way. This reader runs none of the file's code: names that it does not know become
empty objects, and only tensors and arrays are rebuilt. Still: convert files whose origin you trust, on a machine where little can be lost.
"""

import io
import pickle
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy._core import multiarray
from torch import Tensor

from rupantara.errors import UserError
from rupantara.models import stylegan2_keys as keys
from rupantara.storage import uris

WARNING = "a pickle can run any program when it is opened: this reader runs none of its code, but convert only files whose origin you trust"


class Inert:
    """Stands for whatever the file names: takes any arguments and state, does nothing."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self.arguments, self.state = arguments, dict(named)

    def __setstate__(self, state: Any) -> None:
        self.state = state if isinstance(state, dict) else {"state": state}

    def __setitem__(self, key: Any, value: Any) -> None:
        self.state[key] = value

    def append(self, value: Any) -> None:
        """Forget a list's item."""

    def extend(self, values: Any) -> None:
        """Forget a list's items."""


def _persistent(meta: Mapping[str, Any]) -> Inert:
    """Take the place of `torch_utils.persistence._reconstruct_persistent_obj`, which would run the source that the file carries."""
    found = Inert()
    found.__setstate__(dict(meta["state"]))
    return found


def _storage(data: bytes) -> Any:
    return torch.load(io.BytesIO(data), weights_only=True)


ALLOWED: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": OrderedDict,
    "dnnlib.util.EasyDict": dict,
    "torch_utils.persistence._reconstruct_persistent_obj": _persistent,
    "torch.storage._load_from_bytes": _storage,
    "torch._utils._rebuild_tensor_v2": torch._utils._rebuild_tensor_v2,
    "torch._utils._rebuild_parameter": torch._utils._rebuild_parameter,
    "numpy.ndarray": np.ndarray,
    "numpy.dtype": np.dtype,
    "_codecs.encode": lambda text, encoding: text.encode("latin1"),
}
ALLOWED |= {
    f"numpy.{core}.multiarray.{name}": getattr(multiarray, name)
    for core in ("core", "_core")
    for name in ("_reconstruct", "scalar")
}


class Reader(pickle.Unpickler):
    """An unpickler that rebuilds tensors and arrays, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what a name stands for: one of ALLOWED, or an inert object."""
        return ALLOWED.get(f"{module}.{name}", Inert)


def read(data: bytes) -> dict[str, Tensor]:
    """Return our tensors of `G_ema` in an NVLabs' pickle of PyTorch or TensorFlow; UserError where it holds none."""
    try:
        found = Reader(io.BytesIO(data), encoding="latin1").load()
    except (pickle.UnpicklingError, EOFError, AttributeError, IndexError, TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"the file must be a pickle of NVLabs' StyleGAN2: {' '.join(str(error).split())}") from error
    generator = found.get("G_ema") if isinstance(found, dict) else found[-1] if isinstance(found, tuple) else found
    if not isinstance(generator, Inert):
        raise UserError(f"the pickle must hold the generator G_ema, got a {type(found).__name__}")
    if "_modules" in generator.state:
        state = flatten(generator)
        size = max(int(n.split(".")[1][1:]) for n in state if n.startswith("synthesis.b"))
        return keys.from_nvlabs(state, size)
    variables = _variables(generator)
    sides = [int(name.split("x")[0]) for name in variables if name.endswith("/ToRGB/weight")]
    if not sides:
        raise UserError("the pickle's generator must have modules or TensorFlow's variables, it has neither")
    return keys.from_tensorflow(variables, max(sides))


def flatten(module: Inert, prefix: str = "") -> dict[str, Tensor]:
    """Return the `state_dict` of an inert PyTorch module."""
    out = {}
    for kind in ("_parameters", "_buffers"):
        out |= {
            prefix + name: tensor.detach() for name, tensor in module.state.get(kind, {}).items() if tensor is not None
        }
    for name, inner in module.state.get("_modules", {}).items():
        out |= flatten(inner, f"{prefix}{name}.")
    return out


def _variables(network: Inert) -> dict[str, np.ndarray]:
    """Return TensorFlow's variables of a network and of its components."""
    out = {str(name): np.asarray(value) for name, value in network.state.get("variables", ())}
    for inner in network.state.get("components", {}).values():
        out |= _variables(inner) if isinstance(inner, Inert) else {}
    return out


def main(arguments: list[str]) -> int:
    """Convert one file."""
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    print(f"warning: {WARNING}", file=sys.stderr)
    try:
        state = read(uris.read_bytes(arguments[0]))
        keys.from_published(state)
        uris.write_bytes(arguments[1], safetensors.torch.save({n: t.contiguous() for n, t in state.items()}))
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{arguments[1]}: {len(state)} tensors")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
