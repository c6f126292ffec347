"""Fit edits of faces (age, sex, smile) in a codec's codes by regression on labelled faces; seconds, on the driver.

    ray job submit --working-dir . -- python -m jobs.train_edits --features s3://bucket/features --faces s3://bucket/faces \
        --codec s3://bucket/region_vae --checkpoint s3://bucket/edits
"""

import logging
import time
from dataclasses import dataclass, replace
from typing import ClassVar

from jobs.runtime import cli
from rupantara import schema
from rupantara.generation import codecs, edits
from rupantara.reports.edits_card import edits_card
from rupantara.storage import checkpoints, manifest
from rupantara.storage.recipe import RecipeSpec
from rupantara.training.attribute_edits import LEAST_FACES, EditSettings, fit_all
from rupantara.training.blender_rows import blender_streams, demand_codec

log = logging.getLogger("jobs")
RECIPE = RecipeSpec("train_edits", version=3)
MEASURES = ("error", "error_of_median", "correlation")


@dataclass(frozen=True, kw_only=True)
class Config(cli.Common, EditSettings):
    """Fit edits."""

    OUTPUT: ClassVar[str] = "checkpoint"

    features: cli.Uri
    """Features table with the codec's codes (jobs.extract --extractors region_vae arcface)."""
    faces: cli.Uri
    """Faces table that the features are of: its paths name ages and sexes, its column expressions smiles."""
    codec: cli.Uri
    """Checkpoint of jobs.train_vae that made the codes, or a folder with e4e_ffhq_encode.pt."""
    checkpoint: cli.Uri
    """Output folder."""


def presets() -> dict[str, Config]:
    """Return the one preset."""
    return {"default": Config(features=cli.REQUIRED, faces=cli.REQUIRED, codec=cli.REQUIRED, checkpoint=cli.REQUIRED)}


def main(config: Config) -> None:
    """Run the job."""
    config.check()
    started = time.monotonic()
    name, sha256 = demand_codec(config.features, config.codec)
    inputs = {kind: manifest.require(getattr(config, kind), kind).content for kind in ("features", "faces")}
    settings = cli.row_config(config, "features", "faces", "codec", "checkpoint")
    recipe = RECIPE.of(settings, inputs, {name: sha256})
    if config.dry_run:
        print(config, f"\nfingerprint {recipe.fingerprint}")
        return
    running = manifest.begin(
        config.checkpoint, edits.MODEL_TYPE, recipe, version=schema.VERSION, overwrite=config.overwrite
    )
    if running is None:
        log.info("nothing to do: %s is complete with the same recipe (%s)", config.checkpoint, recipe.fingerprint[:12])
        return
    streams = blender_streams(
        config.features,
        config.faces,
        codecs.COLUMNS[name],
        LEAST_FACES,
        vectors=config.orthogonal > 0,
        most=0,
        most_validation=0,
        seed=config.seed,
    )
    fitted = fit_all(config, config.faces, *(stream.whole() for stream in streams))
    content = edits.config_dict(name, sha256, fitted.measured)
    card, count = edits_card(name, recipe, fitted.measured), fitted.faces
    files, digest = checkpoints.write(config.checkpoint, content, edits.tensors_of(fitted.paths), card)
    done = replace(
        running,
        state="complete",
        files=tuple(files),
        counts={"in": count, "accepted": count, "rejected": {}},
        seconds=round(time.monotonic() - started, 1),
        extra={"model_sha256": digest, "measured": fitted.measured},
    )
    manifest.commit(config.checkpoint, done, running)
    for edit, found in fitted.measured.items():
        log.info("%s: readout %.3g off (the median %.3g), r %.2f", edit, *(found[k] for k in MEASURES))


if __name__ == "__main__":
    cli.run(main, presets(), __doc__ or "")
