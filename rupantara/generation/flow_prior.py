"""People who do not exist out of a trained flow prior: a checkpoint of `jobs.train_prior`, ready to draw codes from."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np
import torch

from rupantara.errors import UserError
from rupantara.landmarks.regions import REGIONS
from rupantara.models.flow_prior import OPEN, FlowPrior, FlowPriorConfig, age_class
from rupantara.storage import checkpoints, uris

MODEL_TYPE = "flow_prior"
"""Schema name of the checkpoint's manifest, and `model_type` of its config.json."""

FOLDER = "flow_prior"
"""Where a region VAE's checkpoint may carry one."""

STEPS = 24
"""Steps of Heun's method from noise to a code; more change nothing that is seen."""

Sex = Literal["", "male", "female"]


@dataclass(frozen=True)
class WantedPerson:
    """Who is to be drawn: age in years, sex, group (0 to 4, as UTKFace numbers them); what is left open (-1, "") is drawn too."""

    age: int = OPEN
    sex: Sex = ""
    group: int = OPEN

    def __post_init__(self) -> None:
        """Check the values."""
        if self.age != OPEN and not 0 <= self.age <= 120:
            raise UserError(f"a sampled person's age must be 0 to 120 years, or -1 for any, got {self.age}")
        if self.sex not in ("", "male", "female"):
            raise UserError(f"a sampled person's sex must be male, female or empty, got {self.sex!r}")
        if not OPEN <= self.group <= 4:
            raise UserError(f"a sampled person's group must be 0 to 4, or -1 for any, got {self.group}")

    def conditions(self) -> list[int]:
        """Return age class, sex and group as the network takes them."""
        sex = OPEN if not self.sex else int(self.sex == "female")
        return [OPEN if self.age == OPEN else age_class(self.age), sex, self.group]


ANYONE = WantedPerson()


@dataclass(frozen=True)
class FlowCodePrior:
    """A flow prior with whom it is to draw; it is asked as `prior.CodePrior` is."""

    model: FlowPrior
    sha256: str
    wanted: WantedPerson = ANYONE
    guidance: float = 1.0

    @property
    def boxes(self) -> np.ndarray:
        """Return the mean boxes [6, 4] of people, as fractions of the crop."""
        return self.model.boxes.cpu().numpy()

    def sample(
        self, count: int, seed: int | tuple[int, ...], global_dim: int, truncation: float = 1.0
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw codes: global [count, global_dim], regions [count, 5, dim]; `truncation` below 1 starts nearer the middle."""
        noise = np.random.default_rng(seed).standard_normal((count, self.model.config.dim)).astype(np.float32)
        about = torch.tensor([self.wanted.conditions()] * count)
        rows = self.model.sample(truncation * torch.from_numpy(noise), about, steps=STEPS, guidance=self.guidance)
        return rows[:, :global_dim], rows[:, global_dim:].unflatten(1, (len(REGIONS), -1))


def config_dict(config: FlowPriorConfig, code_dim: int, codec_sha256: str) -> dict[str, Any]:
    """Return the content of config.json."""
    return {"model_type": MODEL_TYPE, "code_dim": code_dim, "codec_sha256": codec_sha256, "net": asdict(config)}


def beside(checkpoint: str) -> str:
    """Return the URI of the flow prior that a region VAE's checkpoint carries, "" if it carries none."""
    uri = uris.join(checkpoint, FOLDER)
    return uri if uris.exists(uris.join(uri, checkpoints.CONFIG)) else ""


def demand(uri: str, codec_sha256: str) -> str:
    """Return the SHA-256 of a complete checkpoint; UserError where it draws codes of another network than `codec_sha256`."""
    made_for = str(checkpoints.read_config(uri, MODEL_TYPE).get("codec_sha256"))
    if made_for != codec_sha256:
        raise UserError(f"{uri} must draw codes of the network {codec_sha256[:12]}, got one of {made_for[:12]}")
    return checkpoints.model_sha256(uri, MODEL_TYPE)


def load(uri: str, codec_sha256: str, wanted: WantedPerson = ANYONE, guidance: float = 1.0) -> FlowCodePrior:
    """Load a complete checkpoint on the CPU; UserError where it draws codes of another network than `codec_sha256`."""
    demand(uri, codec_sha256)
    raw, known = checkpoints.read_config(uri, MODEL_TYPE), {f.name for f in fields(FlowPriorConfig)}

    def build() -> FlowPrior:
        config = FlowPriorConfig(**{k: v for k, v in raw["net"].items() if k in known})
        return FlowPrior(config, int(raw["code_dim"]))

    model, sha256 = checkpoints.restore(uri, MODEL_TYPE, build)
    return FlowCodePrior(model.float(), sha256, wanted, guidance)
