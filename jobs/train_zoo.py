"""Train the four VAEs of `003_…` at 64 x 64, each into its own checkpoint; killed and started again it goes on.

    ray job submit --working-dir . -- python -m jobs.train_zoo --faces s3://bucket/faces --weights s3://bucket/weights \
        --checkpoints s3://bucket/zoo
"""

import json
import logging
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import ClassVar

import ray.data
import torch

from jobs.runtime import cli, train_logs
from jobs.runtime.train_data import choose, datasets
from jobs.runtime.train_fit import check, fit
from jobs.runtime.train_flags import Training
from jobs.runtime.train_progress import following
from jobs.runtime.train_publish import publish
from jobs.runtime.train_worker import Plan
from rupantara import schema
from rupantara.errors import UserError
from rupantara.generation import zoo_loading
from rupantara.models import pretrained, zoo
from rupantara.models.zoo import ZooConfig
from rupantara.reports.zoo_card import zoo_card
from rupantara.storage import manifest, uris, weights
from rupantara.storage.recipe import Recipe, RecipeSpec
from rupantara.training.zoo import OBJECTIVES, Objective
from rupantara.training.zoo_task import STREAM, ZooTask

log = logging.getLogger("jobs")
RECIPE = RecipeSpec("train_zoo", version=1)
FEATURES = "squeezenet"
"""Network of the feature loss: of those that the catalogue knows by hash, the one that was trained on ImageNet."""


@dataclass(frozen=True, kw_only=True)
class Config(Training):
    """Train VAEs of the zoo."""

    OUTPUT: ClassVar[str] = "checkpoints"

    faces: str
    """Faces table (a complete output of jobs.curate); its humans are trained on."""
    weights: str = ""
    """Folder or bucket of pretrained networks: dfc's loss needs squeezenet."""
    checkpoints: str
    """Output folder: a checkpoint NAME/ for each model, with log.jsonl, tensorboard/ and grids/."""
    models: str = ",".join(zoo.NAMES)
    """Models to train, by comma, in this order: vanilla, beta, dfc, plain."""
    epochs: int = 40
    """Passes over the faces."""
    batch: int = 64
    """Faces in a step, each worker."""
    max_faces: int = 0
    """Train on at most this many faces, chosen by hash (0 = all)."""
    max_validation_faces: int = 256
    """Validate on at most this many faces."""
    learning_rate: float = Objective.learning_rate
    """Peak of the cosine schedule (Adam), for all models alike; the paper's 1e-4 for beta takes ten times the epochs."""
    kl_warm_up_images: int = Objective.kl_warm_up_images
    """Images over which the weight of the KL divergence rises from zero."""
    gradient_clip: float = Objective.gradient_clip
    """Largest norm of the gradient."""
    ema_decay: float = Objective.ema_decay
    """Memory of the running average of the weights, which is what is validated and kept."""
    bfloat16: bool = False
    """Run the networks in bfloat16 autocast: for GPUs."""


def presets() -> dict[str, Config]:
    """Return presets: 40 epochs; two_cores takes some five minutes a model on two cores; smoke is for tests."""
    base = Config(faces=cli.REQUIRED, checkpoints=cli.REQUIRED, workers=1)
    return {
        "default": base,
        "two_cores": replace(base, preset="two_cores", epochs=8, batch=32, learning_rate=1.5e-3),
        "smoke": replace(base, preset="smoke", epochs=2, batch=8, kl_warm_up_images=100),
    }


def names_of(config: Config) -> tuple[str, ...]:
    """Resolve the models to train; UserError for an unknown name, or where a loss lacks its network."""
    names = tuple(dict.fromkeys(name.strip() for name in config.models.split(",")))
    unknown = [name for name in names if name not in zoo.NAMES]
    if unknown:
        raise UserError(f"--models must be of {', '.join(zoo.NAMES)}, got {', '.join(map(repr, unknown))}")
    if "dfc" in names and not config.weights:
        raise UserError(
            f"--models dfc needs --weights, a folder with {FEATURES}; fetch it with"
            f" `python -m rupantara.storage.weights pull {FEATURES} --to weights`, or leave dfc out of --models"
        )
    if config.batch < 2 or config.epochs < 1:
        raise UserError(f"--batch must be at least 2 and --epochs 1, got {config.batch} and {config.epochs}")
    return names


def objective_of(config: Config, name: str) -> Objective:
    """Resolve a model's losses and the optimiser's settings."""
    settings = ("learning_rate", "kl_warm_up_images", "gradient_clip", "ema_decay", "bfloat16")
    return replace(OBJECTIVES[name], **{setting: getattr(config, setting) for setting in settings})


def recipe_of(config: Config, name: str) -> Recipe:
    """Return what decides one checkpoint."""
    runtime = ("faces", "weights", "checkpoints", "models", "threads", "num_to_keep", "max_failures", "min_workers")
    settings = cli.row_config(config, *runtime, "mlflow") | {"num_workers": max(1, config.workers), "model": name}
    settings |= {"objective": asdict(objective_of(config, name))}
    hashes = {FEATURES: weights.sha256(config.weights, FEATURES)} if OBJECTIVES[name].gamma > 0 else {}
    inputs = {"faces": manifest.require(config.faces, "faces").content}
    return RECIPE.of(settings, inputs, hashes)


@dataclass(frozen=True)
class Make:
    """Builds the task on a worker."""

    model: ZooConfig
    objective: Objective
    weights: str

    def __call__(self, device: torch.device) -> ZooTask:
        """Load the network of the feature loss, if there is one, and build the model."""
        found = pretrained.load_features(self.weights, FEATURES).to(device) if self.objective.gamma > 0 else None
        return ZooTask(self.model, self.objective, found.features if found else None, device)


def train_one(config: Config, name: str, streams: dict[str, ray.data.Dataset], running: manifest.Manifest) -> None:
    """Train one model into its checkpoint."""
    output, model = uris.join(config.checkpoints, name), zoo.CONFIGS[name]
    rows = streams[STREAM].count() // max(1, config.workers)
    plan = Plan(
        make=Make(model, objective_of(config, name), config.weights),
        batch={STREAM: config.batch},
        rows={STREAM: rows},
        validation=(STREAM,),
        epochs=config.epochs,
        steps_per_epoch=rows // config.batch,
        seed=config.seed,
        threads=config.threads,
        output=output,
        workers=max(1, config.workers),
        mlflow=config.mlflow,
    )
    log.info("%s: %d faces, %d epochs", name, rows, config.epochs)
    with following(output):
        result = fit(config, plan, streams, running.fingerprint)
    card = partial(zoo_card, model, running.recipe)
    publish(output, zoo_loading.config_dict(model), card, result, running)
    log.info("%s: trained on %d images", output, plan.total_images * max(1, config.workers))


def main(config: Config) -> None:
    """Run the job."""
    check(config)
    names = names_of(config)
    train_logs.check(config.mlflow)
    recipes = {name: recipe_of(config, name) for name in names}
    most = {"train": config.max_faces, "val": config.max_validation_faces}
    chosen = choose([config.faces], {STREAM: config.batch * max(1, config.workers)}, most, config.seed)
    if config.dry_run:
        objectives = {name: asdict(objective_of(config, name)) for name in names}
        print(json.dumps({"config": asdict(config), "objectives": objectives}, indent=1))
        for name in names:
            parameters = sum(p.numel() for p in zoo.build(zoo.CONFIGS[name]).parameters())
            print(f"{name}: {parameters} parameters, fingerprint {recipes[name].fingerprint}")
        return
    pending = {}
    for name in names:
        output = uris.join(config.checkpoints, name)
        running = manifest.begin(
            output, zoo_loading.MODEL_TYPE, recipes[name], version=schema.VERSION, overwrite=config.overwrite
        )
        if running is None:
            log.info("nothing to do: %s is complete with the same recipe (%s)", output, recipes[name].fingerprint[:12])
        else:
            pending[name] = running
    if not pending:
        return
    cli.connect()
    streams = datasets([config.faces], zoo.SIDE, chosen, config.seed)
    for name, running in pending.items():
        train_one(config, name, streams, running)


if __name__ == "__main__":
    cli.run(main, presets(), __doc__ or "")
