"""Train a network that blends two parents' codes into a child's, from a features table of tokens; a killed one goes on.

    ray job submit --working-dir . -- python -m jobs.train_blender --features s3://bucket/features --faces s3://bucket/faces \
        --codec s3://bucket/region_vae --weights s3://bucket/weights --checkpoint s3://bucket/blender
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import ClassVar

from jobs.runtime import cli
from jobs.runtime.training import Network, TrainingFlags, TrainingRun, recipe_settings, train
from rupantara.errors import UserError
from rupantara.generation import child_loading, codecs
from rupantara.models.blenders import ChildNet
from rupantara.reports.blender_card import blender_card
from rupantara.storage import manifest, weights
from rupantara.storage.recipe import RecipeSpec
from rupantara.training.blender_rows import blender_streams, demand_codec
from rupantara.training.blender_settings import BlenderSettings
from rupantara.training.blender_start import FEATURES, IDENTITY, BlenderStart, measure
from rupantara.training.blender_task import STREAM
from rupantara.training.streams import Laid

RECIPE = RecipeSpec("train_blender", version=2)


@dataclass(frozen=True, kw_only=True)
class Config(TrainingFlags, BlenderSettings):
    """Train a blender."""

    OUTPUT: ClassVar[str] = "checkpoint"

    features: cli.Uri
    """Features table with the codec's codes (jobs.extract --extractors region_vae arcface, or e4e)."""
    faces: cli.Uri = ""
    """Faces table that the features are of: says who is who, where regions lie, and what --rule needs."""
    codec: cli.Uri
    """Checkpoint of jobs.train_vae that made the codes, or a folder with e4e_ffhq_encode.pt."""
    weights: cli.Uri = ""
    """Folder or bucket of pretrained networks: mobilefacenet for the identity loss, squeezenet for the curves."""
    checkpoint: cli.Uri
    """Output folder: the checkpoint, with log.jsonl, tensorboard/ and grids/ (the same children at each epoch)."""
    max_faces: int = 0
    """Train on at most this many faces, chosen by hash (0 = all)."""
    max_validation_faces: int = 256
    """Validate on at most this many faces."""


def presets() -> dict[str, Config]:
    """Return the paper's training; `best` keeps lengths, draws alpha and compares with photographs; `two_cores` learns without decoding."""
    base = Config(features=cli.REQUIRED, codec=cli.REQUIRED, checkpoint=cli.REQUIRED, workers=1)
    best = replace(base, preset="best", keep_length=True, alpha="drawn", parents="photograph", learning_rate=1e-3)
    quick = replace(
        best, preset="two_cores", identity_through="codes", batch=96, max_validation_faces=64, bfloat16=False
    )
    return {
        "default": base,
        "paper": replace(base, preset="paper"),
        "best": best,
        "two_cores": quick,
        "smoke": replace(quick, preset="smoke", epochs=2, batch=8, max_validation_faces=8),
    }


def run_of(config: Config) -> TrainingRun:
    """Check that codes, codec and networks fit, and resolve the training."""
    objective = config.objective()
    if objective.decodes and not weights.has(config.weights, IDENTITY):
        raise UserError(f"the identity loss needs --weights with {IDENTITY}, or --identity-weight 0")
    name, sha256 = demand_codec(config.features, config.codec)
    columns, reading = codecs.COLUMNS[name], objective.reads_codes
    streams = blender_streams(
        config.features,
        config.faces,
        columns,
        config.batch * config.num_workers,
        vectors=reading or objective.parents == "photograph",
        most=config.max_faces,
        most_validation=config.max_validation_faces,
        seed=config.seed,
    )
    model = config.network(config.features, columns)
    networks = [n for n in (IDENTITY, FEATURES) if weights.has(config.weights, n)]
    inputs = {"features": manifest.require(config.features, "features").content}
    inputs |= {"faces": manifest.require(config.faces, "faces").content} if config.faces else {}
    count = sum(p.numel() for p in ChildNet(model).parameters())

    def network(laid: Mapping[str, Laid]) -> Network:
        known, reader = measure(laid[STREAM], model, reading=reading)
        start = BlenderStart(model, objective, config.codec, config.weights, config.rule, known, reader)
        return Network(start, child_loading.config_dict(model, name, sha256), partial(blender_card, model, name))

    return TrainingRun(
        output=config.checkpoint,
        model_type=child_loading.MODEL_TYPE,
        recipe=RECIPE.of(
            recipe_settings(config) | {"objective": asdict(objective)},
            inputs,
            # The whole codec: its decoder takes part in the losses.
            {name: codecs.sha256(config.codec), **{n: weights.sha256(config.weights, n) for n in networks}},
        ),
        train={STREAM: streams[0]},
        validation={STREAM: streams[1]},
        batch={STREAM: config.batch},
        epochs=config.epochs,
        network=network,
        describe=lambda: f"{config.blender}: {count} parameters, objective {json.dumps(asdict(objective))}",
    )


def main(config: Config) -> None:
    """Run the job."""
    train(config, run_of(config))


if __name__ == "__main__":
    cli.run(main, presets(), __doc__ or "")
