"""Checkpoints in the layout of the Hugging Face hub: config.json, model.safetensors, README.md, and our manifest."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import safetensors.torch
from torch import Tensor

from rupantara.errors import UserError
from rupantara.storage import manifest, uris
from rupantara.storage.manifest import DataFile


@dataclass(frozen=True)
class Checkpoint:
    """What a complete checkpoint holds; `sha256` is of model.safetensors."""

    config: dict[str, Any]
    tensors: dict[str, Tensor]
    sha256: str


def read_config(uri: str, model_type: str) -> dict[str, Any]:
    """Read the config of a complete checkpoint of this type."""
    manifest.require(uri, model_type)
    return json.loads(uris.read_bytes(uris.join(uri, "config.json")))


def model_sha256(uri: str, model_type: str) -> str:
    """Return the SHA-256 of the weights of a complete checkpoint, from its manifest."""
    return manifest.require(uri, model_type).extra["model_sha256"]


def read(uri: str, model_type: str) -> Checkpoint:
    """Read a complete checkpoint."""
    config = read_config(uri, model_type)
    data = uris.read_bytes(uris.join(uri, "model.safetensors"))
    digest, expected = hashlib.sha256(data).hexdigest(), model_sha256(uri, model_type)
    if digest != expected:
        raise UserError(
            f"{uri} is damaged or being replaced: its weights must have SHA-256 {expected[:12]}…, got {digest[:12]}…"
        )
    return Checkpoint(config, safetensors.torch.load(data), digest)


def write(uri: str, config: Mapping[str, Any], tensors: Mapping[str, Tensor], card: str) -> tuple[list[DataFile], str]:
    """Write the files of the hub's layout; return them and the SHA-256 of the weights. The caller commits the manifest."""
    weights = safetensors.torch.save({name: tensor.contiguous() for name, tensor in tensors.items()})
    config_json = json.dumps(dict(config), indent=1).encode()
    contents = {"config.json": config_json, "model.safetensors": weights, "README.md": card.encode()}
    for name, data in contents.items():
        uris.write_bytes(uris.join(uri, name), data)
    return [DataFile(name, 0, len(data)) for name, data in contents.items()], hashlib.sha256(weights).hexdigest()
