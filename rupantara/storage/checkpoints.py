"""Checkpoints in the layout of the Hugging Face hub: config.json, model.safetensors, README.md, and our manifest."""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Any

import safetensors.torch

from rupantara.models.region_vae import RegionVAE, RegionVAEConfig
from rupantara.storage import manifest, uris

SCHEMA = "region_vae"


@dataclass(frozen=True)
class Loaded:
    """A model ready to run, and the SHA-256 of its weights."""

    model: RegionVAE
    sha256: str


def config_json(config: RegionVAEConfig) -> bytes:
    """Encode a model config."""
    return json.dumps({"model_type": SCHEMA, **asdict(config)}, indent=1).encode()


def parse_config(data: bytes) -> RegionVAEConfig:
    """Decode a model config."""
    raw: dict[str, Any] = json.loads(data)
    known = {f.name for f in fields(RegionVAEConfig)}
    return RegionVAEConfig(**{k: tuple(v) if isinstance(v, list) else v for k, v in raw.items() if k in known})


def read_config(uri: str) -> RegionVAEConfig:
    """Read the config of a complete checkpoint."""
    manifest.require(uri, SCHEMA)
    return parse_config(uris.read_bytes(uris.join(uri, "config.json")))


def model_sha256(uri: str) -> str:
    """Return the SHA-256 of the weights of a complete checkpoint, from its manifest."""
    return manifest.require(uri, SCHEMA).extra["model_sha256"]


def load(uri: str) -> Loaded:
    """Load a complete checkpoint for inference on the CPU."""
    model = RegionVAE(read_config(uri))
    data = uris.read_bytes(uris.join(uri, "model.safetensors"))
    model.load_state_dict(safetensors.torch.load(data))
    return Loaded(model.eval().requires_grad_(False), hashlib.sha256(data).hexdigest())


def save_model(uri: str, model: RegionVAE, card: str) -> dict[str, manifest.DataFile]:
    """Write the three files of the hub layout and return them; the manifest is the caller's to commit."""
    weights = safetensors.torch.save({k: v.contiguous() for k, v in model.state_dict().items()})
    contents = {"config.json": config_json(model.config), "model.safetensors": weights, "README.md": card.encode()}
    for name, data in contents.items():
        uris.write_bytes(uris.join(uri, name), data)
    return {name: manifest.DataFile(name, 0, len(data)) for name, data in contents.items()}
