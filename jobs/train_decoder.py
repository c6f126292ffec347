"""Train decoders that make faces of their vectors, on a features table, each part into its own checkpoint; a killed one goes on.

    ray job submit --working-dir . -- python -m jobs.train_decoder --features s3://bucket/features --morphs s3://bucket/morph_features \
        --checkpoint s3://bucket/decoder
"""

import json
import logging
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch

from jobs.decoder_config import Config, lengths, names_of, objective_of, presets, texture_of
from jobs.decoder_data import Sets, datasets
from jobs.decoder_start import warm_start
from jobs.decoder_tables import Job, choose_for, open_tables, rows_of
from jobs.runtime import cli, train_logs
from jobs.runtime.train_fit import check, fit
from jobs.runtime.train_progress import following
from jobs.runtime.train_publish import publish
from jobs.runtime.train_worker import Plan
from rupantara import schema
from rupantara.generation import decoder_loading
from rupantara.models import face_decoder, pretrained
from rupantara.models.face_decoder import FaceDecoderConfig
from rupantara.models.texture_decoder import TextureDecoderConfig
from rupantara.reports.decoder_card import decoder_card
from rupantara.storage import manifest, uris, weights
from rupantara.storage.recipe import Recipe, RecipeSpec
from rupantara.training.decoder_task import STREAM, DecoderTask, WarmStart
from rupantara.training.decoders import DecoderObjective, Judging

log = logging.getLogger("jobs")
RECIPE = RecipeSpec("train_decoder", version=1)
FACES = "faces"
"""Entry of a decoder's manifest: the faces table whose splits it kept to."""


def recipe_of(config: Config, part: str, job: Job) -> Recipe:
    """Return what decides one checkpoint: of the settings, those that its part uses."""
    objective, (batch, epochs) = objective_of(config, part), lengths(config, part)
    settings: dict[str, Any] = {
        "part": part,
        "vector": config.vector,
        "seed": config.seed,
        "batch": batch,
        "epochs": epochs,
    }
    settings |= {"max_faces": config.max_faces, "max_validation_faces": config.max_validation_faces}
    settings |= {"num_workers": max(1, config.workers), "objective": asdict(objective)}
    settings |= {"dropout": config.dropout} if part in ("landmarks", "joint") else {}
    settings |= {} if part == "landmarks" else {"texture": asdict(texture_of(config, job.vector.dim))}
    named = {"squeezenet": objective.perceptual_weight, "mobilefacenet": objective.identity_weight}
    hashes = {name: weights.sha256(config.weights, name) for name, weight in named.items() if weight > 0}
    hashes[config.vector] = job.vector.model_sha256
    inputs = {
        name: manifest.require(uri, "features").content
        for name, uri in zip(("features", "morphs"), job.tables, strict=False)
    }
    return RECIPE.of(json.loads(json.dumps(settings)), inputs, hashes)


@dataclass(frozen=True)
class Make:
    """Builds the task on a worker."""

    model: FaceDecoderConfig
    objective: DecoderObjective
    weights: str
    warm: WarmStart

    def __call__(self, device: torch.device) -> DecoderTask:
        """Load the networks of the losses and build the model."""
        objective = self.objective
        seen = (
            pretrained.load_features(self.weights, "squeezenet").to(device) if objective.perceptual_weight > 0 else None
        )
        embed = pretrained.load_embed(self.weights).to(device) if objective.identity_weight > 0 else None
        judging = Judging(seen.features if seen else None, embed)
        return DecoderTask(self.model, objective, judging, self.warm, device)


def train_one(config: Config, part: str, job: Job, chosen: Sets, running: manifest.Manifest) -> None:
    """Train one part into its checkpoint."""
    cli.connect()
    output, workers, (batch, epochs) = uris.join(config.checkpoint, part), max(1, config.workers), lengths(config, part)
    texture = None if part == "landmarks" else texture_of(config, job.vector.dim)
    # The joint model's pictures are faces, and what its linear path makes are textures.
    rows = rows_of(config, "texture" if part == "joint" else part)
    warm, texture = warm_start(job.tables, rows, chosen, config.seed, job.mean, texture)
    streams = datasets(job.tables, rows_of(config, part), chosen, config.seed)
    model = FaceDecoderConfig(
        part,
        config.vector,
        job.vector.model_sha256,
        dropout=config.dropout if part in ("landmarks", "joint") else 0.0,
        texture=texture or TextureDecoderConfig(input_dim=job.vector.dim),
    )
    count = streams[STREAM].count() // workers
    plan = Plan(
        make=Make(model, objective_of(config, part), config.weights, warm),
        batch={STREAM: batch},
        rows={STREAM: count},
        validation=(STREAM,),
        epochs=epochs,
        steps_per_epoch=count // batch,
        seed=config.seed,
        threads=config.threads,
        output=output,
        workers=workers,
        mlflow=config.mlflow,
    )
    held = streams[f"val_{STREAM}"].count()
    log.info(
        "%s: %d faces in batches of %d, %d epochs; %d faces to validate the averaged weights on",
        part,
        count * workers,
        batch,
        epochs,
        held,
    )
    steps, memory = plan.epochs * plan.steps_per_epoch, 1 / (1 - config.ema_decay)
    if steps < memory:
        log.warning(
            "%s: %d steps are fewer than the averaged weights remember (%.0f, --ema-decay): they stay near their start; train"
            " for more epochs, or on more faces",
            part,
            steps,
            memory,
        )
    with following(output):
        result = fit(config, plan, streams, running.fingerprint)
    card = partial(decoder_card, model, running.recipe)
    publish(output, decoder_loading.config_dict(model), card, result, running, **{FACES: job.faces})
    log.info(
        "%s: trained on %d images; its pictures: %s", output, plan.total_images * workers, uris.join(output, "grids")
    )


def describe(config: Config, job: Job, recipes: dict[str, Recipe]) -> None:
    """Print what would be trained."""
    print(json.dumps(asdict(config), indent=1))
    for name, recipe in recipes.items():
        model = FaceDecoderConfig(name, config.vector, texture=texture_of(config, job.vector.dim))
        count = sum(p.numel() for p in face_decoder.build(model, torch.zeros(68, 2)).parameters())
        print(f"{name}: {count} parameters, fingerprint {recipe.fingerprint}")


def main(config: Config) -> None:
    """Run the job: everything is checked for every part before the first begins."""
    check(config)
    names = names_of(config)
    train_logs.check(config.mlflow)
    job = open_tables(config, names)
    recipes = {name: recipe_of(config, name, job) for name in names}
    if config.dry_run:
        describe(config, job, recipes)
        return
    chosen = {name: choose_for(config, name, job) for name in names}
    pending = {}
    for name, recipe in recipes.items():
        output = uris.join(config.checkpoint, name)
        running = manifest.begin(
            output, decoder_loading.MODEL_TYPE, recipe, version=schema.VERSION, overwrite=config.overwrite
        )
        if running is None:
            log.info("nothing to do: %s is complete with the same recipe (%s)", output, recipe.fingerprint[:12])
        else:
            pending[name] = running
    for name, running in pending.items():
        train_one(config, name, job, chosen[name], running)


if __name__ == "__main__":
    cli.run(main, presets(), __doc__ or "")
