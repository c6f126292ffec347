"""Train decoders that make faces of their vectors, on a features table, each part into its own checkpoint; a killed one goes on.

    ray job submit --working-dir . -- python -m jobs.train_decoder --features s3://bucket/features --morphs s3://bucket/morph_features \
        --checkpoint s3://bucket/decoder
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, ClassVar

import torch

from jobs.runtime import cli
from jobs.runtime.training import Network, TrainingFlags, TrainingRun, recipe_settings, train
from rupantara.generation import decoder_loading
from rupantara.models import face_decoder
from rupantara.models.face_decoder import FaceDecoderConfig
from rupantara.models.texture_decoder import TextureDecoderConfig
from rupantara.reports.decoder_card import decoder_card
from rupantara.storage import uris, weights
from rupantara.storage.recipe import Recipe, RecipeSpec
from rupantara.training.decoder_settings import DecoderSettings
from rupantara.training.decoder_start import warm_start
from rupantara.training.decoder_tables import DecoderTables, choose_sets, open_tables
from rupantara.training.decoder_task import STREAM, DecoderStart
from rupantara.training.streams import Laid

RECIPE = RecipeSpec("train_decoder", version=3)


@dataclass(frozen=True, kw_only=True)
class Config(TrainingFlags, DecoderSettings):
    """Train decoders of faces from vectors."""

    OUTPUT: ClassVar[str] = "checkpoint"

    features: cli.Uri
    """Features table with vectors and textures (jobs.extract --extractors arcface arcface_features texture)."""
    morphs: cli.Uri = ""
    """Features table of morphs (extracted with --mean-of FEATURES), trained on too."""
    checkpoint: cli.Uri
    """Output folder: a checkpoint PART/ for each part, with log.jsonl, tensorboard/ and grids/."""
    weights: cli.Uri = ""
    """Folder or bucket of pretrained networks, for the perceptual and identity losses."""
    max_faces: int = 0
    """Train on at most this many faces, chosen by hash (0 = all)."""
    max_validation_faces: int = 512
    """Validate on at most this many faces."""


def presets() -> dict[str, Config]:
    """Return the paper's decoder; 112 for two cores, with a linear path and the losses on top; smoke for tests.

    112_features is 112 of `arcface_features`: what a texture shows is linear in these, but not in the vectors of identity (decision 9).
    """
    base = Config(features=cli.REQUIRED, checkpoint=cli.REQUIRED, workers=1)
    linear: dict[str, Any] = {"linear": True, "annealed": True}
    two_cores = {"size": 112, "kernel_centers": 8192, "epochs": 1, "batch": 16, "landmark_epochs": 20, **linear}
    two_cores |= {"dropout": 0.7, "learning_rate": 1e-3, "identity_weight": 0.3, "perceptual_weight": 0.2}
    features = {"vector": "arcface_features", "kernel_centers": 0, "dropout": 0.3}
    smoke = {"size": 56, "kernel_centers": 64, "epochs": 2, "batch": 8, "landmark_epochs": 4, "landmark_batch": 8}
    return {
        "default": base,
        "112": replace(base, preset="112", **two_cores),
        "112_features": replace(base, preset="112_features", **(two_cores | features)),
        "smoke": replace(base, preset="smoke", **smoke, **linear),
    }


def recipe_of(config: Config, part: str, tables: DecoderTables) -> Recipe:
    """Return what decides one checkpoint: of the settings, those that its part uses."""
    objective, (batch, epochs) = config.objective(part), config.lengths(part)
    every = recipe_settings(config)
    settings = {name: every[name] for name in ("vector", "seed", "max_faces", "max_validation_faces", "num_workers")}
    settings |= {"part": part, "batch": batch, "epochs": epochs, "objective": asdict(objective)}
    settings |= {"dropout": config.dropout, "hidden": config.hidden} if part in ("landmarks", "joint") else {}
    settings |= {} if part == "landmarks" else {"texture": asdict(config.texture(tables.vector.dim))}
    named = {config.perceptual_network: objective.perceptual_weight, "mobilefacenet": objective.identity_weight}
    hashes = {name: weights.sha256(config.weights, name) for name, weight in named.items() if weight > 0}
    hashes[config.vector] = tables.vector.model_sha256
    return RECIPE.of(json.loads(json.dumps(settings)), tables.inputs, hashes)


def run_of(config: Config, part: str, tables: DecoderTables) -> TrainingRun:
    """Resolve one part."""
    batch, epochs = config.lengths(part)
    recipe, rows = recipe_of(config, part, tables), config.rows(part)
    most = config.max_faces, config.max_validation_faces
    sets = choose_sets(tables.uris, rows, *most, batch * config.num_workers, config.seed)
    training, held = sets.streams(tables.uris, rows)
    # The joint model's pictures are faces, and what its linear path makes are textures. Morphs are not measured.
    measured = sets.streams(tables.uris[:1], config.rows("texture" if part == "joint" else part))

    def model(texture: TextureDecoderConfig) -> FaceDecoderConfig:
        sha256 = tables.vector.model_sha256
        dropout = config.dropped(part)
        return FaceDecoderConfig(part, config.vector, sha256, config.hidden, dropout, texture)

    def network(laid: Mapping[str, Laid]) -> Network:
        wanted = None if part == "landmarks" else config.texture(tables.vector.dim)
        warm, texture = warm_start(laid, tables.mean, wanted)
        made = model(texture or TextureDecoderConfig(input_dim=tables.vector.dim))
        start = DecoderStart(made, config.objective(part), config.weights, warm, config.perceptual_network)
        return Network(start, decoder_loading.config_dict(made), partial(decoder_card, made))

    def describe() -> str:
        made = face_decoder.build(model(config.texture(tables.vector.dim)), torch.zeros(68, 2))
        return f"{part}: {sum(p.numel() for p in made.parameters())} parameters"

    return TrainingRun(
        output=uris.join(config.checkpoint, part),
        model_type=decoder_loading.MODEL_TYPE,
        recipe=recipe,
        train={STREAM: training},
        validation={STREAM: held},
        batch={STREAM: batch},
        epochs=epochs,
        network=network,
        describe=describe,
        measured={STREAM: measured[0], f"val_{STREAM}": measured[1]},
        extra={"faces": tables.faces},
    )


def main(config: Config) -> None:
    """Run the job: everything is checked for every part before the first begins."""
    names = config.names()
    tables = open_tables(config.features, config.morphs, config, networks=bool(config.weights))
    train(config, *(run_of(config, part, tables) for part in names))


if __name__ == "__main__":
    cli.run(main, presets(), __doc__ or "")
