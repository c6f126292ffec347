"""Region VAEs out of their checkpoints, ready to run."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from rupantara.generation import prior
from rupantara.generation.prior import CodePrior
from rupantara.models.region_vae import RegionVAE, RegionVAEConfig
from rupantara.storage import checkpoints

MODEL_TYPE = "region_vae"
"""Schema name of the checkpoint's manifest, and `model_type` of its config.json."""


@dataclass(frozen=True)
class LoadedRegionVAE:
    """A model ready to run on the CPU, the SHA-256 of its weights, and the prior of its codes, if it was packed with one."""

    model: RegionVAE
    sha256: str
    prior: CodePrior | None = None


def config_dict(config: RegionVAEConfig) -> dict[str, Any]:
    """Return the content of config.json."""
    return {"model_type": MODEL_TYPE, **asdict(config)}


def read_config(uri: str) -> RegionVAEConfig:
    """Read the config of a complete checkpoint."""
    raw, known = checkpoints.read_config(uri, MODEL_TYPE), {f.name for f in fields(RegionVAEConfig)}
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in raw.items() if k in known}
    return checkpoints.parse(uri, lambda: RegionVAEConfig(**values))


def model_sha256(uri: str) -> str:
    """Return the SHA-256 of the weights of a complete checkpoint."""
    return checkpoints.model_sha256(uri, MODEL_TYPE)


def load(uri: str) -> LoadedRegionVAE:
    """Load a complete checkpoint for inference."""
    config = read_config(uri)
    model, sha256 = checkpoints.restore(uri, MODEL_TYPE, lambda: RegionVAE(config))
    return LoadedRegionVAE(model, sha256, prior.read(uri))
