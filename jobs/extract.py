"""Faces to features: the codes of a trained region VAE, one row an accepted face, as Parquet.

    ray job submit --working-dir . -- python -m jobs.extract --faces s3://bucket/faces --checkpoint s3://bucket/region_vae \
        --features s3://bucket/features
"""

import os
from dataclasses import dataclass
from functools import partial

from jobs import cli, parts
from rupantara import schema
from rupantara.generation import loading
from rupantara.stages.extract import ExtractCodes
from rupantara.stages.faces import COLUMNS
from rupantara.storage import manifest
from rupantara.storage.recipe import Recipe, code_version

CODE = ("models", "stages/extract.py", "stages/faces.py", "landmarks/regions.py", "imaging/codec.py")


@dataclass(frozen=True, kw_only=True)
class Config(cli.Common):
    """Extract features."""

    faces: str
    """Faces table."""
    checkpoint: str
    """Checkpoint of jobs.train_vae."""
    features: str
    """Output table."""
    threads: int = 0
    """Torch threads of each worker (0 = the machine's CPUs over the workers of the machine)."""


def build(config: Config) -> tuple[Recipe, list[parts.Part], partial[ExtractCodes]]:
    """Plan one part for each file of the faces."""
    faces = manifest.require(config.faces, "faces")
    models = {"region_vae": loading.model_sha256(config.checkpoint)}
    recipe = Recipe("extract", code_version(CODE), {}, {"faces": faces.fingerprint}, models)
    threads = config.threads or max(1, (os.cpu_count() or 1) // max(1, config.workers or (os.cpu_count() or 1)))
    return recipe, parts.parts_of(config.faces, faces), partial(ExtractCodes, config.checkpoint, threads)


def main(config: Config) -> None:
    """Run the job."""
    recipe, plan, make_stage = build(config)
    if config.dry_run:
        print(config, f"\nfingerprint {recipe.fingerprint}\n{len(plan)} parts")
        return
    model = recipe.models["region_vae"]
    parts.run_parts(
        config,
        config.features,
        "features",
        recipe,
        plan,
        make_stage,
        version=schema.VERSION,
        columns=COLUMNS,
        model_sha256=model,
    )


if __name__ == "__main__":
    presets = {"default": Config(faces=cli.REQUIRED, checkpoint=cli.REQUIRED, features=cli.REQUIRED)}
    cli.run(main, presets, __doc__ or "")
