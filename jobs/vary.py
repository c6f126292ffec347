"""Vary faces with a VAE of the zoo: draws of the posterior, noise on the input, or faces from the prior.

    ray job submit --working-dir . -- python -m jobs.vary --checkpoint s3://bucket/zoo/plain --faces s3://bucket/faces \
        --generated s3://bucket/variations --count 10 --mode posterior
"""

import logging
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import pyarrow as pa

from jobs.runtime import cli, parts
from rupantara import schema
from rupantara.errors import UserError
from rupantara.faces.arrays import COLUMNS, choose
from rupantara.generation import variations, zoo_loading
from rupantara.reports.contact_sheet import write_pngs
from rupantara.reports.variation_sheet import write_variation_sheet
from rupantara.stages.vary import SAMPLES, VaryFaces
from rupantara.storage import checkpoints, manifest
from rupantara.storage.recipe import Recipe, RecipeSpec

log = logging.getLogger("jobs")
RECIPE = RecipeSpec("vary", version=1)
SAMPLES_A_PART = 256


@dataclass(frozen=True, kw_only=True)
class Config(cli.Common):
    """Vary faces."""

    OUTPUT: ClassVar[str] = "generated"

    checkpoint: str
    """Checkpoint of jobs.train_zoo (CHECKPOINTS/NAME), or a folder of one downloaded from the hub."""
    faces: str = ""
    """Faces table; its accepted humans are varied. Not needed in mode prior."""
    generated: str
    """Output: the generated table, contact_sheet.png, and png/ with --export."""
    count: int = 10
    """Variations of each face; in mode prior, faces in all."""
    mode: Literal["posterior", "input_noise", "prior"] = "posterior"
    """Draw codes from the face's posterior, add noise to the face, or draw codes from the prior."""
    noise: float = variations.NOISE
    """Standard deviation of the input's noise on the scale [0, 1]."""
    split: Literal["train", "val", "test", ""] = "test"
    """Split of the faces ("" = all)."""
    limit: int = 32
    """Most faces, chosen by hash (0 = all)."""
    export: bool = True
    """Write each picture as a PNG file too."""
    sheet_rows: int = 12
    """Faces on the contact sheet."""


def build(config: Config) -> tuple[Recipe, list[parts.Part], frozenset[str]]:
    """Choose the faces and plan one part for each file of them; in mode prior, one for each block of numbers."""
    if config.count < 1:
        raise UserError(f"--count must be at least 1, got {config.count}")
    zoo_loading.read_config(config.checkpoint)
    models = {"zoo_vae": checkpoints.model_sha256(config.checkpoint, zoo_loading.MODEL_TYPE)}
    skipped = ("faces", "checkpoint", "generated", "export", "sheet_rows")
    if config.mode == "prior":
        settings = cli.row_config(config, *skipped, "split", "limit", "noise")
        starts = range(0, config.count, SAMPLES_A_PART)
        blocks = [list(range(start, min(start + SAMPLES_A_PART, config.count))) for start in starts]
        plan = [parts.Part(i, pa.table([numbers], schema=SAMPLES)) for i, numbers in enumerate(blocks)]
        return RECIPE.of(settings, {}, models), plan, frozenset()
    if not config.faces:
        raise UserError(f"--mode {config.mode} needs --faces")
    faces = manifest.require(config.faces, "faces")
    chosen = choose(config.faces, "human", config.split, config.limit, config.seed)
    if not chosen:
        raise UserError(f"{config.faces} must have accepted humans of split {config.split!r}, got none")
    settings = cli.row_config(config, *skipped)
    recipe = RECIPE.of(settings, {"faces": faces.content}, models)
    return recipe, parts.parts_of(config.faces, faces), frozenset(chosen)


def main(config: Config) -> None:
    """Run the job."""
    recipe, plan, chosen = build(config)
    if config.dry_run:
        print(config, f"\nfingerprint {recipe.fingerprint}\n{len(chosen)} faces, {len(plan)} parts")
        return
    make_stage = partial(
        VaryFaces,
        config.checkpoint,
        chosen,
        count=config.count,
        mode=config.mode,
        noise=config.noise,
        seed=config.seed,
    )
    columns = None if config.mode == "prior" else COLUMNS
    parts.run_parts(
        config, config.generated, "generated", recipe, plan, make_stage, version=schema.VERSION, columns=columns
    )
    log.info("contact sheet: %s", write_variation_sheet(config.generated, config.faces, config.sheet_rows))
    if config.export:
        log.info("%d PNG files in %s/png", write_pngs(config.generated), config.generated)


if __name__ == "__main__":
    required = Config(checkpoint=cli.REQUIRED, generated=cli.REQUIRED)
    cli.run(main, {"default": required}, __doc__ or "")
