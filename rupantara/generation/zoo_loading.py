"""VAEs of the zoo out of their checkpoints, ready to run."""

from dataclasses import asdict, dataclass
from typing import Any

from rupantara.models import zoo
from rupantara.models.zoo import ZooConfig, ZooVAE
from rupantara.storage import checkpoints

MODEL_TYPE = "zoo_vae"
"""Schema name of the checkpoint's manifest, and `model_type` of its config.json."""


@dataclass(frozen=True)
class LoadedZooVAE:
    """A model ready to run on the CPU, and the SHA-256 of its weights."""

    model: ZooVAE
    sha256: str


def config_dict(config: ZooConfig) -> dict[str, Any]:
    """Return the content of config.json."""
    return {"model_type": MODEL_TYPE, "size": zoo.SIDE, **asdict(config)}


def read_config(uri: str) -> ZooConfig:
    """Read the config of a checkpoint, or of a folder downloaded from the hub."""
    raw = checkpoints.read_config(uri, MODEL_TYPE)
    return checkpoints.parse(uri, lambda: ZooConfig(raw["name"], raw["latent_dim"], tuple(raw["channels"])))


def model_sha256(uri: str) -> str:
    """Return the SHA-256 of a checkpoint's weights, without reading them where a manifest says it."""
    return checkpoints.model_sha256(uri, MODEL_TYPE)


def load(uri: str) -> LoadedZooVAE:
    """Load a checkpoint, or a folder downloaded from the hub, for inference."""
    config = read_config(uri)
    return LoadedZooVAE(*checkpoints.restore(uri, MODEL_TYPE, lambda: zoo.build(config)))
