"""VGG-Face's published files, in whichever layout lies in a folder, as one state; or weights drawn from a seed."""

import io
import pickle

import numpy as np
import torch

from rupantara.errors import MissingError, UserError
from rupantara.models import vggface
from rupantara.storage import uris, weights

VGGFACE_FILES = ("vggface_pytorch", "vggface_caffe", "vggface_keras")


def find_vggface(folder: str) -> str:
    """Return the catalogue name of the VGG-Face file that lies in a folder; raise MissingError when none does."""
    for name in VGGFACE_FILES:
        if folder and uris.exists(uris.join(folder, weights.CATALOGUE[name].file)):
            return name
    files = ", ".join(weights.CATALOGUE[name].file for name in VGGFACE_FILES)
    raise MissingError(f"vggface needs one of {files} in --weights, got {folder!r}")


def load_vggface(folder: str) -> dict[str, torch.Tensor]:
    """Read the published file that is there, whichever layout it has."""
    name = find_vggface(folder)
    data = weights.load(folder, name)
    try:
        if weights.CATALOGUE[name].format == "torch":
            return vggface.from_pytorch(torch.load(io.BytesIO(data), map_location="cpu", weights_only=True))
        return vggface.from_keras(keras_kernels(data))
    except (KeyError, ValueError, RuntimeError, OSError, EOFError, pickle.UnpicklingError) as error:
        file = weights.CATALOGUE[name].file
        raise UserError(
            f"{file} in {folder!r} must hold VGG-Face's tensors: {' '.join(repr(error).split())[:200]}"
        ) from error


def keras_kernels(data: bytes) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Read kernels and biases of a Keras weights file in the order of its layers; needs h5py."""
    try:
        import h5py
    except ImportError as error:
        raise MissingError("Keras weights need h5py: pip install h5py") from error
    with h5py.File(io.BytesIO(data), "r") as file:
        groups = [file[_text(name)] for name in file.attrs["layer_names"]]
        layers = {}
        for group in groups:
            names = [_text(name) for name in group.attrs["weight_names"]]
            if len(names) == 2:
                layers[group.name] = (np.array(group[names[0]]), np.array(group[names[1]]))
    return layers


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name


def random_vggface(seed: int) -> dict[str, torch.Tensor]:
    """Draw VGG-Face's weights (He's initialisation, no biases): random features, for proofs where the file is not to be had."""
    generator = torch.Generator().manual_seed(seed)
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in vggface.VGGFace().state_dict().items()}
    state = {}
    for name, shape in shapes.items():
        deviation = (2 / max(1, shape[1:].numel())) ** 0.5 if name.endswith("weight") else 0.0
        state[name] = torch.empty(shape).normal_(0, 1, generator=generator) * deviation
    return state
