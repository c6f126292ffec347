"""Variations of faces by a VAE of the zoo: draws of the posterior, noise on the input, or faces from the prior."""

from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Literal

import pyarrow as pa

from jobs.generate import kind
from jobs.generate.kind import Plan
from jobs.runtime import cli, parts
from rupantara.errors import UserError
from rupantara.faces.arrays import COLUMNS
from rupantara.faces.choice import choose_rows
from rupantara.generation import variation, zoo_loading
from rupantara.generation.variation import Mode, VariationGenerator, VariationRequest
from rupantara.reports.generated import Sources
from rupantara.stages.vary import SAMPLES, VaryFaces
from rupantara.storage import checkpoints, manifest
from rupantara.storage.recipe import RecipeSpec

RECIPE = RecipeSpec("generate_variation", version=1)
SAMPLES_A_PART = 256


@dataclass(frozen=True, kw_only=True)
class Config(kind.Config):
    """Vary faces."""

    checkpoint: cli.Uri
    """Checkpoint of jobs.train_zoo (CHECKPOINTS/NAME), or a folder of one downloaded from the hub."""
    faces: cli.Uri = ""
    """Faces table; its accepted humans are varied. Not needed in mode prior."""
    count: int = 10
    """Variations of each face; in mode prior, faces in all."""
    mode: Mode = "posterior"
    """Draw codes from the face's posterior, add noise to the face, or draw codes from the prior."""
    noise: float = variation.NOISE
    """Standard deviation of the input's noise on the scale [0, 1]."""
    split: Literal["train", "val", "test", ""] = ""
    """Split of the faces ("" = all)."""
    limit: int = 0
    """Most faces, chosen by hash (0 = all)."""


DEFAULT = Config(checkpoint=cli.REQUIRED, generated=cli.REQUIRED)


def build(config: Config) -> Plan:
    """Plan one part for each file of the faces, or for each block of numbers."""
    if config.count < 1:
        raise UserError(f"--count must be at least 1, got {config.count}")
    zoo_loading.read_config(config.checkpoint)
    return of_prior(config) if config.mode == "prior" else of_faces(config)


def of_faces(config: Config) -> Plan:
    """Plan variations of a table's humans."""
    if not config.faces:
        raise UserError(f"--mode {config.mode} needs --faces")
    faces = manifest.require(config.faces, "faces")
    chosen = choose_rows(config.faces, "faces", config.split, config.limit, config.seed)
    if not chosen.count:
        raise UserError(f"{config.faces} must have accepted humans of split {config.split!r}, got none")
    settings = cli.row_config(config, "faces", "checkpoint", "generated", "export", "sheet_rows")
    return Plan(
        RECIPE.of(settings, {"faces": faces.content}, _models(config)),
        parts.parts_of(config.faces, faces),
        partial(nullcontext, partial(_stage(config), chosen.choice)),
        columns=COLUMNS,
        sources=Sources(faces=config.faces),
        said=f"{chosen.said()}; {config.count} variations each",
        left_out=chosen.left_out,
    )


def of_prior(config: Config) -> Plan:
    """Plan faces of nobody."""
    settings = {"mode": "prior", "count": config.count, "seed": config.seed}
    blocks = enumerate(kind.blocks(config.count, SAMPLES_A_PART))
    plan = [parts.Part(i, pa.table([list(block)], schema=SAMPLES)) for i, block in blocks]
    said = f"{config.count} faces of nobody"
    return Plan(RECIPE.of(settings, {}, _models(config)), plan, partial(nullcontext, _stage(config)), said=said)


def _models(config: Config) -> dict[str, str]:
    return {"zoo_vae": checkpoints.model_sha256(config.checkpoint, zoo_loading.MODEL_TYPE)}


def _stage(config: Config) -> partial[VaryFaces]:
    ask = VariationRequest(count=config.count, mode=config.mode, noise=config.noise, seed=config.seed)
    return partial(VaryFaces, partial(VariationGenerator, config.checkpoint), ask, threads=kind.threads(config))


def main(config: Config) -> None:
    """Run the job."""
    kind.run(config, build(config))
