"""Pack a trained checkpoint to ship, in half precision; a region VAE also gets mean variances and a prior to sample human codes from.

    ray job submit --working-dir . -- python -m jobs.pack --faces s3://bucket/faces --features s3://bucket/features \
        --checkpoint s3://bucket/region_vae --packed s3://bucket/packed
    ray job submit --working-dir . -- python -m jobs.pack --checkpoint s3://bucket/zoo/plain --packed s3://bucket/packed
"""

import dataclasses
import logging
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from jobs.runtime import cli
from rupantara import schema
from rupantara.errors import UserError
from rupantara.faces.arrays import COLUMNS, choose, load
from rupantara.generation import loading, prior
from rupantara.reports.cards import model_card
from rupantara.stages import halving, pack
from rupantara.storage import checkpoints, manifest, tables, uris
from rupantara.storage.manifest import DataFile
from rupantara.storage.recipe import Recipe, RecipeSpec

log = logging.getLogger("jobs")
RECIPE = RecipeSpec("pack", version=2)
SAMPLES = "samples.jpg"
NUM_SEEN = 256
"""Train faces of each domain that the mean variances are taken over."""


@dataclass(frozen=True, kw_only=True)
class Config(cli.Common):
    """Pack a checkpoint."""

    OUTPUT: ClassVar[str] = "packed"

    faces: cli.Uri = ""
    """Faces table that a region VAE was trained on."""
    features: cli.Uri = ""
    """Features of those faces by the region VAE: the codes of its train humans make the prior."""
    checkpoint: cli.Uri
    """Checkpoint of jobs.train_vae, jobs.train_zoo or jobs.train_prior, or one part of jobs.train_decoder's."""
    packed: cli.Uri
    """Output: a checkpoint that takes half the room and less; of a region VAE with prior.safetensors."""
    prior_rank: int = 160
    """Directions of the prior."""
    data: str = ""
    """What the model card says of the photographs and their terms."""


def build(config: Config) -> Recipe:
    """Check that features and checkpoint belong together."""
    if not (config.faces and config.features):
        raise UserError("--faces and --features must be given with a region VAE: its prior is fitted to their codes")
    faces, features = manifest.require(config.faces, "faces"), manifest.require(config.features, "features")
    model, codes = loading.model_sha256(config.checkpoint), loading.codes_sha256(config.checkpoint)
    if features.extra["model_sha256"] != codes or features.recipe.inputs.get("faces") != faces.content:
        raise UserError(f"{config.features} must be made from {config.faces} with {config.checkpoint} ({codes[:12]}…)")
    if manifest.require(config.checkpoint, loading.MODEL_TYPE).recipe.job == RECIPE.job:
        raise UserError(f"{config.checkpoint} is packed already")
    settings = cli.row_config(config, "faces", "features", "checkpoint", "packed")
    inputs = {"faces": faces.content, "features": features.content}
    return RECIPE.of(settings, inputs, {"region_vae": model})


def seen_rows(config: Config) -> pa.Table:
    """Read some train faces of both domains."""
    ids = {i for d in ("human", "animal") for i in choose(config.faces, d, "train", NUM_SEEN, config.seed)}
    return pa.concat_tables([schema.where_id(p, ids) for p in tables.read_parts(config.faces, COLUMNS, schema="faces")])


def main(config: Config) -> None:
    """Run the job."""
    kind = checkpoints.model_type(config.checkpoint)
    if kind in halving.KINDS:
        halve(config, kind)
    else:
        pack_region_vae(config)


def halve(config: Config, kind: str) -> None:
    """Pack a checkpoint that needs nothing but half precision."""
    if config.faces or config.features:
        raise UserError(f"--faces and --features are for region VAEs, {config.checkpoint} is of {kind}")
    settings = cli.row_config(config, "faces", "features", "checkpoint", "packed", "prior_rank")
    recipe = RECIPE.of(settings, {}, {kind: checkpoints.model_sha256(config.checkpoint, kind)})
    if config.dry_run:
        print(config, f"\nfingerprint {recipe.fingerprint}")
        return
    running = manifest.begin(config.packed, kind, recipe, version=schema.VERSION, overwrite=config.overwrite)
    if running is None:
        log.info("nothing to do: %s is complete with the same recipe (%s)", config.packed, recipe.fingerprint[:12])
        return
    halving.halve(config.checkpoint, config.packed, running, config.data, config.seed)


def pack_region_vae(config: Config) -> None:
    """Pack a region VAE."""
    recipe = build(config)
    if config.dry_run:
        print(config, f"\nfingerprint {recipe.fingerprint}")
        return
    running = manifest.begin(
        config.packed, loading.MODEL_TYPE, recipe, version=schema.VERSION, overwrite=config.overwrite
    )
    if running is None:
        log.info("nothing to do: %s is complete with the same recipe (%s)", config.packed, recipe.fingerprint[:12])
        return
    model, trained = loading.load(config.checkpoint).model, manifest.require(config.checkpoint, loading.MODEL_TYPE)
    rows = seen_rows(config)
    faces = load(rows, model.config.size)
    species = model.config.domain_index(rows["domain"].to_pylist())
    packed, kept = model, loading.codes_of(config.checkpoint) if pack.keeps_codes(model) else ""
    if model.config.variances:
        packed, kept = pack.without_variances(model, pack.posteriors(model, faces), species), ""
    codes = schema.where(tables.read(config.features, schema="features"), domain="human", split="train")
    fitted = pack.fit_prior(model, codes, np.mean(faces.boxes[(species == 0).numpy()], axis=0), config.prior_rank)
    metrics = trained.extra["metrics"]
    card = model_card(
        packed.config, trained.recipe, metrics, f"{config.data}\n\n![People sampled from the prior]({SAMPLES})"
    )
    content = loading.config_dict(packed.config, kept)
    files, digest = checkpoints.write(config.packed, content, pack.halved(packed), card)
    beside = {prior.FILE: prior.as_bytes(fitted), SAMPLES: pack.sample_sheet(packed, fitted, config.seed)}
    for name, data in beside.items():
        uris.write_bytes(uris.join(config.packed, name), data)
    done = dataclasses.replace(
        running,
        state="complete",
        files=(*files, *(DataFile(name, 0, len(data)) for name, data in beside.items())),
        counts=trained.counts,
        extra={"model_sha256": digest, "metrics": metrics, "trained": trained.fingerprint},
    )
    manifest.commit(config.packed, done, running)
    log.info("%s: %.1f MB", config.packed, sum(f.bytes for f in done.files) / 1e6)


if __name__ == "__main__":
    required = Config(checkpoint=cli.REQUIRED, packed=cli.REQUIRED)
    cli.run(main, {"default": required}, __doc__ or "")
