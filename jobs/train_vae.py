"""Train the region VAE on a faces table with Ray Train; killed and started again it goes on from its last epoch.

    ray job submit --working-dir . -- python -m jobs.train_vae --preset 128 --faces s3://bucket/faces \
        --checkpoint s3://bucket/region_vae
"""

import json
import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import ray
import ray.train
import ray.train.torch
import torch

from jobs import cli
from jobs.train_data import Chosen, choose, datasets, warm_start
from jobs.train_progress import following
from jobs.train_worker import DOMAINS, Plan, train
from rupantara import schema
from rupantara.errors import UserError
from rupantara.generation import loading
from rupantara.models.region_vae import RegionVAE, RegionVAEConfig
from rupantara.reports.cards import model_card
from rupantara.storage import checkpoints, manifest, uris
from rupantara.storage.recipe import Recipe, code_version
from rupantara.training.region_vae import Objective

log = logging.getLogger("jobs")
CODE = (
    *("models", "losses", "training", "stages/faces.py", "landmarks/regions.py", "imaging/codec.py"),
    *("jobs/train_data.py", "jobs/train_worker.py"),
)


@dataclass(frozen=True, kw_only=True)
class Config(cli.Common):
    """Train the region VAE."""

    faces: str
    """Faces table (a complete output of jobs.curate)."""
    checkpoint: str
    """Output folder: config.json, model.safetensors, README.md, log.jsonl, grids/."""
    size: int = 128
    """Side of the pictures in pixels."""
    channels: tuple[int, ...] = RegionVAEConfig.channels
    """Channels of the stages, finest first."""
    epochs: int = 10
    """Passes over the human faces; as many animals as the batch sizes say are shown beside them, species balanced."""
    human_batch: int = 10
    """Human faces in a step, each worker."""
    animal_batch: int = 6
    """Animal faces in a step, each worker."""
    max_faces: int = 0
    """Train on at most this many faces of each domain, chosen by hash (0 = all)."""
    max_validation_faces: int = 192
    """Validate on at most this many faces of each domain."""
    learning_rate: float = Objective.learning_rate
    """Peak of the cosine schedule (AdamW)."""
    kl_weight: float = Objective.kl_weight
    """Weight of the KL divergence: twice the variance of the pixels' noise model."""
    kl_warm_up_images: int = Objective.kl_warm_up_images
    """Images over which the KL weight rises from zero."""
    swap_share: float = Objective.swap_share
    """Share of the human faces that are trained as hybrids, with transplanted regions."""
    bfloat16: bool = True
    """Run the network in bfloat16 autocast."""
    channels_last: bool = False
    """Lay convolutions out channels last; measured 8 % slower here on a CPU in bfloat16, faster on GPUs."""
    threads: int = 0
    """Torch threads of each worker (0 = all of the machine)."""
    num_to_keep: int = 2
    """Training states kept."""


def presets() -> dict[str, Config]:
    """64 and 128 pixels; smoke is for tests."""
    base = Config(faces=cli.REQUIRED, checkpoint=cli.REQUIRED, workers=1)
    small: dict[str, Any] = {"size": 64, "channels": (48, 96, 128, 192, 192)}
    smoke: dict[str, Any] = {
        "epochs": 2,
        "channels": (16, 32, 32, 32, 32),
        "human_batch": 8,
        "animal_batch": 8,
        "learning_rate": 1e-3,
    }
    return {
        "default": base,
        "128": replace(base, preset="128"),
        "64": replace(base, preset="64", **small),
        "smoke": replace(base, preset="smoke", size=64, **smoke),
    }


def batch_sizes(config: Config) -> dict[str, int]:
    """Return the faces of each domain in a step."""
    sizes = {"human": config.human_batch, "animal": config.animal_batch}
    if min(sizes.values()) < 1 or config.epochs < 1:
        raise UserError(f"--human-batch, --animal-batch and --epochs must be at least 1, got {sizes}, {config.epochs}")
    return sizes


def build(config: Config) -> tuple[Recipe, RegionVAEConfig, Objective, Chosen]:
    """Resolve the model, the objective and the data."""
    source = manifest.require(config.faces, "faces")
    most = {"train": config.max_faces, "val": config.max_validation_faces}
    sizes = batch_sizes(config)
    if config.size % 2 ** len(config.channels) or len(config.channels) < 4 or config.size < 32:
        raise UserError(
            f"--size must be divisible by 2**stages, stages at least 4, got {config.size}, {config.channels}"
        )
    every = {domain: size * max(1, config.workers) for domain, size in sizes.items()}
    chosen = choose(config.faces, every, most, config.seed)
    model = RegionVAEConfig(
        size=config.size, channels=config.channels, region_side=config.size * 3 // 8, species=chosen.species
    )
    objective = Objective(
        learning_rate=config.learning_rate,
        kl_weight=config.kl_weight,
        kl_warm_up_images=config.kl_warm_up_images,
        swap_share=config.swap_share,
        bfloat16=config.bfloat16,
    )
    settings = cli.row_config(config, "faces", "checkpoint", "threads", "num_to_keep") | {
        "num_workers": max(1, config.workers)
    }
    recipe = Recipe("train_vae", code_version(CODE), settings, {"faces": source.content})
    return recipe, model, objective, chosen


def fit(config: Config, plan: Plan, streams: dict[str, ray.data.Dataset], fingerprint: str) -> ray.train.Result:
    """Run Ray Train; the same storage path and name resume."""
    # Its V2 classes, the ones that run, are hidden from type checkers behind a switch at import.
    rt: Any = ray.train
    fs, path = uris.resolve(uris.join(config.checkpoint, "_train"))
    options = ray.data.ExecutionOptions(preserve_order=True)
    trainer = rt.torch.TorchTrainer(
        train,
        train_loop_config={"plan": plan},
        datasets=streams,
        dataset_config=rt.DataConfig(datasets_to_split=list(DOMAINS), execution_options=options),
        scaling_config=rt.ScalingConfig(
            num_workers=max(1, config.workers),
            use_gpu=config.gpus_per_worker > 0,
            resources_per_worker={"CPU": config.cpus_per_worker}
            | ({"GPU": config.gpus_per_worker} if config.gpus_per_worker else {}),
        ),
        run_config=rt.RunConfig(
            name=fingerprint[:12],
            storage_path=path,
            storage_filesystem=fs,
            failure_config=rt.FailureConfig(max_failures=2, controller_failure_limit=2),
            checkpoint_config=rt.CheckpointConfig(num_to_keep=config.num_to_keep),
            worker_runtime_env={"env_vars": cli.MALLOC},
        ),
    )
    return trainer.fit()


def publish(config: Config, model: RegionVAEConfig, result: ray.train.Result, running: manifest.Manifest) -> None:
    """Write the averaged weights in the hub's layout and commit."""
    assert result.checkpoint is not None
    with result.checkpoint.as_directory() as folder:
        saved = torch.load(Path(folder, "state.pt"), weights_only=True, map_location="cpu")
    net = RegionVAE(model)
    net.load_state_dict(saved["state"]["average"])
    last = saved["history"][-1]
    config_json = loading.config_dict(model)
    files, digest = checkpoints.write(
        config.checkpoint, config_json, saved["state"]["average"], model_card(model, running.recipe, last)
    )
    done = replace(
        running,
        state="complete",
        files=tuple(files),
        counts={"in": int(last["images"]), "accepted": int(last["images"]), "rejected": {}},
        seconds=round(sum(row["seconds"] for row in saved["history"]), 1),
        extra={"model_sha256": digest, "metrics": last},
    )
    manifest.commit(config.checkpoint, done, running)


def main(config: Config) -> None:
    """Run the job."""
    recipe, model, objective, chosen = build(config)
    if config.dry_run:
        parameters = sum(p.numel() for p in RegionVAE(model).parameters())
        print(json.dumps({"config": asdict(config), "model": asdict(model), "objective": asdict(objective)}, indent=1))
        print(f"fingerprint {recipe.fingerprint}\n{parameters} parameters")
        return
    running = manifest.begin(
        config.checkpoint, loading.MODEL_TYPE, recipe, version=schema.VERSION, overwrite=config.overwrite
    )
    if running is None:
        log.info("nothing to do: %s is complete with the same recipe (%s)", config.checkpoint, recipe.fingerprint[:12])
        return
    cli.connect()
    streams = datasets(config.faces, model, chosen, config.seed)
    workers, batch = max(1, config.workers), batch_sizes(config)
    steps = streams["human"].count() // workers // config.human_batch
    total = config.epochs * steps * workers * sum(batch.values())
    log.info("%d human and %d animal rows an epoch", streams["human"].count(), streams["animal"].count())
    plan = Plan(
        model,
        objective,
        batch,
        config.epochs,
        steps,
        total,
        config.seed,
        config.threads,
        config.checkpoint,
        config.channels_last,
        warm_start(streams, model),
    )
    with following(config.checkpoint):
        result = fit(config, plan, streams, recipe.fingerprint)
    publish(config, model, result, running)
    log.info("%s: trained on %d images", config.checkpoint, total)


if __name__ == "__main__":
    cli.run(main, presets(), __doc__ or "")
