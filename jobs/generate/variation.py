"""Variations of faces by a VAE of the zoo: draws of the posterior, noise on the input, or faces from the prior."""

from dataclasses import dataclass
from functools import partial
from typing import Literal

import pyarrow as pa

from jobs.generate import kind
from jobs.runtime import cli
from jobs.runtime.table_run import TableRun
from rupantara.compute import Compute
from rupantara.errors import UserError
from rupantara.faces.arrays import COLUMNS
from rupantara.faces.choice import Choice, choose_rows
from rupantara.generation import variation, zoo_loading
from rupantara.generation.variation import Mode, VariationGenerator, VariationRequest
from rupantara.reports.generated import Sources
from rupantara.stages.vary import SAMPLES, VaryFaces
from rupantara.storage import checkpoints, manifest, plan
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


def build(config: Config) -> TableRun:
    """Plan one part for each file of the faces, or for each block of numbers."""
    if config.count < 1:
        raise UserError(f"--count must be at least 1, got {config.count}")
    zoo_loading.read_config(config.checkpoint)
    return of_prior(config) if config.mode == "prior" else of_faces(config)


def of_faces(config: Config) -> TableRun:
    """Plan variations of a table's humans."""
    if not config.faces:
        raise UserError(f"--mode {config.mode} needs --faces")
    faces = manifest.require(config.faces, "faces")
    chosen = choose_rows(config.faces, "faces", config.split, config.limit, config.seed)
    if not chosen.count:
        raise UserError(f"{config.faces} must have accepted humans of split {config.split!r}, got none")
    settings = kind.settings_of(config)
    return kind.run_of(
        config,
        RECIPE.of(settings, {"faces": faces.content}, _models(config)),
        plan.of_files(config.faces, faces),
        partial(make_stage, config, chosen.choice),
        said=f"{chosen.said()}; {config.count} variations each",
        columns=COLUMNS,
        sources=Sources(faces=config.faces),
        left_out=chosen.left_out,
    )


def of_prior(config: Config) -> TableRun:
    """Plan faces of nobody."""
    settings = {"mode": "prior", "count": config.count, "seed": config.seed}
    parts = plan.of_blocks(pa.table([range(config.count)], schema=SAMPLES), SAMPLES_A_PART)
    recipe = RECIPE.of(settings, {}, _models(config))
    said = f"{config.count} faces of nobody"
    return kind.run_of(config, recipe, parts, partial(make_stage, config, None), said=said)


def _models(config: Config) -> dict[str, str]:
    return {"zoo_vae": checkpoints.model_sha256(config.checkpoint, zoo_loading.MODEL_TYPE)}


def make_stage(config: Config, choice: Choice | None, *, compute: Compute) -> VaryFaces:
    """Build the stage on a worker."""
    ask = VariationRequest(count=config.count, mode=config.mode, noise=config.noise, seed=config.seed)
    make = partial(VariationGenerator, config.checkpoint, compute.device)
    return VaryFaces(make, ask, choice, threads=compute.threads)


def main(config: Config) -> None:
    """Run the job."""
    kind.run(config, build(config))
