"""Region VAEs out of their checkpoints, ready to run."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from rupantara.generation import flow_prior, prior
from rupantara.models.region_vae import RegionVAE, RegionVAEConfig
from rupantara.storage import checkpoints

MODEL_TYPE = "region_vae"
"""Schema name of the checkpoint's manifest, and `model_type` of its config.json."""

CODES_OF = "codes_of"
"""Entry of config.json: the SHA-256 of the weights with the same encoder, of which this checkpoint has only trained the decoder on."""


class Prior(Protocol):
    """What draws people's codes: a Gaussian (`prior.CodePrior`) or a flow (`flow_prior.FlowCodePrior`)."""

    @property
    def boxes(self) -> np.ndarray:
        """Return where the regions of drawn people lie [6, 4], as fractions of the crop."""
        ...

    def sample(
        self, count: int, seed: int | tuple[int, ...], global_dim: int, truncation: float = ...
    ) -> tuple[Tensor, Tensor]:
        """Draw codes: global [count, global_dim], regions [count, 5, dim]; `truncation` below 1 keeps nearer the mean face."""
        ...


@dataclass(frozen=True)
class LoadedRegionVAE:
    """A model ready to run on the CPU, the SHA-256 of its weights, and a prior of its codes, if it has one.

    `codes_of` is the SHA-256 of the checkpoint whose encoder it has, where its decoder was trained alone.
    """

    model: RegionVAE
    sha256: str
    prior: Prior | None = None
    codes_of: str = ""

    @property
    def codes_sha256(self) -> str:
        """Return what names its codes: banks, features, priors, blenders and edits of one name go together."""
        return self.codes_of or self.sha256


def config_dict(config: RegionVAEConfig, codes_of: str = "") -> dict[str, Any]:
    """Return the content of config.json; `codes_of` names the checkpoint whose codes these are, if it is another."""
    return {"model_type": MODEL_TYPE, **asdict(config)} | ({CODES_OF: codes_of} if codes_of else {})


def read_config(uri: str) -> RegionVAEConfig:
    """Read the config of a complete checkpoint."""
    raw, known = checkpoints.read_config(uri, MODEL_TYPE), {f.name for f in fields(RegionVAEConfig)}
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in raw.items() if k in known}
    return checkpoints.parse(uri, lambda: RegionVAEConfig(**values))


def model_sha256(uri: str) -> str:
    """Return the SHA-256 of the weights of a complete checkpoint."""
    return checkpoints.model_sha256(uri, MODEL_TYPE)


def codes_of(uri: str) -> str:
    """Return the SHA-256 of the checkpoint whose encoder a complete checkpoint has kept, "" where it has its own."""
    return str(checkpoints.read_config(uri, MODEL_TYPE).get(CODES_OF, ""))


def codes_sha256(uri: str) -> str:
    """Return what names the codes of a complete checkpoint: `LoadedRegionVAE.codes_sha256`."""
    return codes_of(uri) or model_sha256(uri)


def load(uri: str) -> LoadedRegionVAE:
    """Load a complete checkpoint for inference, with the flow prior that it carries, else its Gaussian."""
    config, kept = read_config(uri), codes_of(uri)
    model, sha256 = checkpoints.restore(uri, MODEL_TYPE, lambda: RegionVAE(config))
    flow = flow_prior.beside(uri)
    return LoadedRegionVAE(model, sha256, flow_prior.load(flow, kept or sha256) if flow else prior.read(uri), kept)
