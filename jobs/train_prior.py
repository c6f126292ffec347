"""Train a prior of people's codes by flow matching, from a features table; minutes on two cores, and a killed one goes on.

    ray job submit --working-dir . -- python -m jobs.train_prior --features s3://bucket/features --faces s3://bucket/faces \
        --codec s3://bucket/region_vae --checkpoint s3://bucket/prior
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from typing import ClassVar

from jobs.runtime import cli
from jobs.runtime.training import Network, TrainingFlags, TrainingRun, recipe_settings, train
from rupantara.errors import UserError
from rupantara.generation import codecs, flow_prior
from rupantara.models.codecs import region_vae
from rupantara.models.flow_prior import FlowPriorConfig
from rupantara.reports.prior_card import prior_card
from rupantara.storage import manifest
from rupantara.storage.recipe import RecipeSpec
from rupantara.training.blender_rows import blender_streams, demand_codec
from rupantara.training.flow_prior import FlowObjective
from rupantara.training.flow_prior_task import STREAM, FlowPriorStart, measure
from rupantara.training.streams import Laid

RECIPE = RecipeSpec("train_prior", version=2)
COLUMNS = codecs.COLUMNS[region_vae.NAME]
PATHS = ("codec",)


@dataclass(frozen=True, kw_only=True)
class Config(TrainingFlags):
    """Train a prior."""

    OUTPUT: ClassVar[str] = "checkpoint"

    features: cli.Uri
    """Features table with the region VAE's codes (jobs.extract --extractors region_vae)."""
    faces: cli.Uri = ""
    """Faces table that the features are of: its paths name ages, sexes and groups. Empty = people are drawn without conditions."""
    codec: cli.Uri
    """Checkpoint of jobs.train_vae that made the codes."""
    checkpoint: cli.Uri
    """Output folder: the checkpoint, with log.jsonl, tensorboard/ and grids/ (the same people at each epoch)."""
    epochs: int = 120
    """Passes over the faces."""
    batch: int = 256
    """Faces in a step, each worker."""
    max_faces: int = 0
    """Train on at most this many faces, chosen by hash (0 = all)."""
    max_validation_faces: int = 1024
    """Validate on at most this many faces."""
    dim: int = FlowPriorConfig.dim
    """Directions of the codes, at most."""
    width: int = FlowPriorConfig.width
    """Width of the velocity's network."""
    blocks: int = FlowPriorConfig.blocks
    """Residual blocks of it."""
    dropout: float = FlowPriorConfig.dropout
    """Dropout in each block."""
    learning_rate: float = FlowObjective.learning_rate
    """Peak of the cosine schedule (AdamW)."""
    weight_decay: float = FlowObjective.weight_decay
    """Weight decay."""
    drop_all: float = FlowObjective.drop_all
    """Share of rows whose conditions are all left open, for guidance."""
    drop_one: float = FlowObjective.drop_one
    """Share of single conditions that are left open."""
    jitter: float = FlowObjective.jitter
    """Standard deviation of the noise on codes: against learning people by heart."""
    warm_up_codes: int = FlowObjective.warm_up_codes
    """Codes over which the learning rate rises."""
    ema_decay: float = FlowObjective.ema_decay
    """Memory of the running average of the weights, which is what is validated and kept."""
    gradient_clip: float = FlowObjective.gradient_clip
    """Largest norm of the gradient."""


def presets() -> dict[str, Config]:
    """Return the default, and one for tests."""
    base = Config(features=cli.REQUIRED, codec=cli.REQUIRED, checkpoint=cli.REQUIRED, workers=1)
    small = replace(base, preset="smoke", epochs=2, batch=16, dim=8, width=32, blocks=1, max_validation_faces=16)
    return {"default": base, "smoke": small}


def run_of(config: Config) -> TrainingRun:
    """Check that codes and codec fit, and resolve the training."""
    if min(config.batch, config.epochs, config.dim, config.width, config.blocks) < 1:
        raise UserError("--batch, --epochs, --dim, --width and --blocks must be at least 1")
    if codecs.name_of(config.codec) != region_vae.NAME:
        raise UserError(f"--codec must be a checkpoint of jobs.train_vae, got {config.codec}")
    objective = FlowObjective(**{f.name: getattr(config, f.name) for f in fields(FlowObjective)})
    least, (_, sha256) = config.batch * config.num_workers, demand_codec(config.features, config.codec)
    limits = {"most": config.max_faces, "most_validation": config.max_validation_faces, "seed": config.seed}
    streams = blender_streams(config.features, config.faces, COLUMNS, least, vectors=False, **limits)
    inputs = {"features": manifest.require(config.features, "features").content}
    inputs |= {"faces": manifest.require(config.faces, "faces").content} if config.faces else {}

    def network(laid: Mapping[str, Laid]) -> Network:
        known = measure(laid[STREAM], config.codec, config.dim)
        size, code_dim = known["directions"].shape
        net = FlowPriorConfig(size, config.width, config.blocks, dropout=config.dropout)
        content = flow_prior.config_dict(net, code_dim, sha256)
        return Network(FlowPriorStart(net, objective, config.codec, known), content, partial(prior_card, net))

    settings = recipe_settings(config, *PATHS) | {"objective": asdict(objective)}
    return TrainingRun(
        output=config.checkpoint,
        model_type=flow_prior.MODEL_TYPE,
        recipe=RECIPE.of(settings, inputs, {region_vae.NAME: sha256}),
        train={STREAM: streams[0]},
        validation={STREAM: streams[1]},
        batch={STREAM: config.batch},
        epochs=config.epochs,
        network=network,
        describe=lambda: f"flow prior: objective {json.dumps(asdict(objective))}",
    )


def main(config: Config) -> None:
    """Run the job."""
    train(config, run_of(config))


if __name__ == "__main__":
    cli.run(main, presets(), __doc__ or "")
