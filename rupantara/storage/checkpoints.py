"""Checkpoints in the layout of the Hugging Face hub: config.json, model.safetensors, README.md, and our manifest.

A folder downloaded from the hub without our manifest is read too; then there is nothing to check its weights against.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import safetensors.torch
import torch
from torch import Tensor, nn

from rupantara.errors import NotFiniteError, UserError
from rupantara.storage import manifest, uris
from rupantara.storage.manifest import DataFile

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"

T = TypeVar("T")
Net = TypeVar("Net", bound=nn.Module)


@dataclass(frozen=True)
class Checkpoint:
    """What a complete checkpoint holds; `sha256` is of model.safetensors."""

    config: dict[str, Any]
    tensors: dict[str, Tensor]
    sha256: str


def of_hub(uri: str) -> bool:
    """Tell whether a folder is a bare download: config and weights, and no manifest, not even of an unfinished training."""
    manifests = (manifest.NAME, manifest.RUNNING)
    return all(uris.exists(uris.join(uri, name)) for name in (CONFIG, WEIGHTS)) and not any(
        uris.exists(uris.join(uri, name)) for name in manifests
    )


def model_type(uri: str) -> str:
    """Return the model type of a complete checkpoint or bare download, as its manifest or config says."""
    if of_hub(uri):
        return str(json.loads(uris.read_bytes(uris.join(uri, CONFIG))).get("model_type"))
    found = manifest.read(uri)
    return found.schema if found else ""


def read_config(uri: str, model_type: str) -> dict[str, Any]:
    """Return the config of a checkpoint of this type: a complete one, or a bare download (config and weights without a manifest, `of_hub`).

    UserError for a config of another type.
    """
    if not of_hub(uri):
        manifest.require(uri, model_type)
    try:
        config = json.loads(uris.read_bytes(uris.join(uri, CONFIG)))
    except ValueError as error:
        raise UserError(f"{uri}/{CONFIG} must be JSON: {error}") from error
    if not isinstance(config, dict):
        raise UserError(f"{uri}/{CONFIG} must be a JSON object, got a {type(config).__name__}")
    if config.get("model_type") != model_type:
        raise UserError(f"{uri}/{CONFIG} must have model_type {model_type}, got {config.get('model_type')!r}")
    return config


def model_sha256(uri: str, model_type: str) -> str:
    """Return the SHA-256 of the weights, from the manifest of a complete checkpoint or, of a bare download, their own."""
    if of_hub(uri):
        return hashlib.sha256(uris.read_bytes(uris.join(uri, WEIGHTS))).hexdigest()
    return manifest.require(uri, model_type).extra["model_sha256"]


def read(uri: str, model_type: str) -> Checkpoint:
    """Read a complete checkpoint, or a bare download."""
    config = read_config(uri, model_type)
    data = uris.read_bytes(uris.join(uri, WEIGHTS))
    digest = hashlib.sha256(data).hexdigest()
    expected = digest if of_hub(uri) else model_sha256(uri, model_type)
    if digest != expected:
        raise UserError(
            f"{uri} is damaged or being replaced: its weights must have SHA-256 {expected[:12]}…, got {digest[:12]}…"
        )
    return Checkpoint(config, safetensors.torch.load(data), digest)


def parse(uri: str, make: Callable[[], T]) -> T:
    """Return what `make` makes of a checkpoint's config; UserError where it cannot be made of it."""
    try:
        return make()
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        said = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise UserError(f"{uri}/{CONFIG} must be of a network of this version of rupantara: {said}") from error


def restore(uri: str, model_type: str, make: Callable[[], Net]) -> tuple[Net, str]:
    """Make the network of a checkpoint's config and return it for inference, with the checkpoint's weights and their SHA-256.

    UserError where it cannot be made, or where the weights are not its own.
    """
    model, stored = parse(uri, make), read(uri, model_type)
    _fill(uri, model, stored.tensors)
    return model.eval().requires_grad_(False), stored.sha256


def _fill(uri: str, model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if wanted != found:
        odd = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
        raise UserError(
            f"{uri}/{WEIGHTS} must hold the {len(wanted)} tensors of the network in its {CONFIG}, got {len(found)}, of which"
            f" {len(odd)} differ, first {odd[0]}: train it again, or use the version of rupantara that made it"
        )
    require_finite(f"{uri}/{WEIGHTS}", tensors)
    model.load_state_dict(tensors)


def require_finite(name: str, tensors: Mapping[str, Tensor]) -> None:
    """Raise NotFiniteError where a tensor holds NaN or infinity, naming the first; one wait for the device, not one a tensor."""
    floats = {key: tensor for key, tensor in tensors.items() if tensor.is_floating_point() and tensor.numel()}
    if not floats:
        return
    finite = torch.stack([tensor.isfinite().all() for tensor in floats.values()]).tolist()
    odd = [key for key, whole in zip(floats, finite, strict=True) if not whole]
    if odd:
        raise NotFiniteError(
            f"{name} must hold finite numbers, got NaN or infinity in {len(odd)} of {len(tensors)} tensors, first {odd[0]}"
        )


def write(uri: str, config: Mapping[str, Any], tensors: Mapping[str, Tensor], card: str) -> tuple[list[DataFile], str]:
    """Write the files of the hub's layout; return them and the SHA-256 of the weights. The caller commits the manifest.

    NotFiniteError for weights that are not finite, before anything is written.
    """
    require_finite(f"{uri}/{WEIGHTS}", tensors)
    weights = safetensors.torch.save({name: tensor.contiguous() for name, tensor in tensors.items()})
    config_json = json.dumps(dict(config), indent=1).encode()
    contents = {CONFIG: config_json, WEIGHTS: weights, CARD: card.encode()}
    for name, data in contents.items():
        uris.write_bytes(uris.join(uri, name), data)
    return [DataFile(name, 0, len(data)) for name, data in contents.items()], hashlib.sha256(weights).hexdigest()
