"""One training as one value, and the one call that runs it: claim the output, lay the data out, train, publish."""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import ray.data
import torch

from jobs.runtime import cli
from jobs.runtime.training import logs
from jobs.runtime.training.data import lay_out
from jobs.runtime.training.fit import fit
from jobs.runtime.training.flags import TrainingFlags, check
from jobs.runtime.training.loop import WorkerPlan
from jobs.runtime.training.progress import following
from jobs.runtime.training.publish import publish
from jobs.runtime.training.room import Room, find_room
from rupantara import schema
from rupantara.storage import manifest
from rupantara.storage.recipe import Recipe
from rupantara.training.streams import Laid, Stream
from rupantara.training.task import Task

log = logging.getLogger("jobs")


@dataclass(frozen=True)
class Network:
    """A network ready to be trained: how a worker builds its task, its config.json, and its card by the last epoch's metrics."""

    start: Callable[[torch.device], Task]
    config: Mapping[str, Any]
    card: Callable[[Recipe, Mapping[str, float]], str]


@dataclass(frozen=True)
class TrainingRun:
    """One training: what it makes, of what, and how long.

    `train` and `validation` are the streams by name, the first of `train` the one whose rows make an epoch; `batch` has each worker's
    rows in a step. `network` is called on the driver with the streams laid out (a validation stream is `val_NAME`), so that it can
    measure where to start; with those of `measured` instead, if there are any. Its `start` is called on every worker. `extra` goes
    into the manifest. `describe` says what a dry run prints beside the config.
    """

    output: str
    model_type: str
    recipe: Recipe
    train: Mapping[str, Stream]
    validation: Mapping[str, Stream]
    batch: Mapping[str, int]
    epochs: int
    network: Callable[[Mapping[str, Laid]], Network]
    describe: Callable[[], str]
    measured: Mapping[str, Stream] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def streams(self) -> dict[str, Stream]:
        """Return all streams by the name that workers know them by."""
        return {**self.train, **{f"val_{name}": stream for name, stream in self.validation.items()}}


def train(config: TrainingFlags, *runs: TrainingRun) -> None:
    """Run the trainings of one job one after another, or say what they would be; what is complete is left alone.

    Every output is claimed before the first training begins. A training that was killed goes on from its last epoch.
    """
    check(config)
    logs.check(config.mlflow)
    if config.dry_run:
        print(json.dumps(asdict(config), indent=1))
        for run in runs:
            print(f"{run.describe()}\nfingerprint {run.recipe.fingerprint}")
        return
    pending = [(run, running) for run in runs if (running := _claim(run, config)) is not None]
    laid: dict[str, ray.data.Dataset] = {}
    before: TrainingRun | None = None
    for run, running in pending:
        cli.connect()
        if before is None or run.streams != before.streams or run.measured:
            laid.clear()
        # Before the streams are laid out: these need room too, and Ray Data would wait for it in silence.
        _train_one(config, run, running, laid, find_room(config))
        before = run


def _claim(run: TrainingRun, config: TrainingFlags) -> manifest.Manifest | None:
    running = manifest.begin(run.output, run.model_type, run.recipe, version=schema.VERSION, overwrite=config.overwrite)
    if running is None:
        log.info("nothing to do: %s is complete with the same recipe (%s)", run.output, run.recipe.fingerprint[:12])
    return running


def _train_one(
    config: TrainingFlags,
    run: TrainingRun,
    running: manifest.Manifest,
    laid: dict[str, ray.data.Dataset],
    room: Room,
) -> None:
    """Train one network into its checkpoint; `laid` holds the streams if they are laid out already, and is filled if not."""
    network = run.network(lay_out(run.measured, run.train, config.seed)) if run.measured else None
    if not laid:
        laid |= lay_out(run.streams, run.train, config.seed)
    network = network or run.network(laid)
    plan = replace(_plan(config, run, network, laid), spare_threads=room.spare_threads)
    _say(run, laid)
    with following(run.output):
        result = fit(config, plan, laid, run.recipe.fingerprint, room)
    publish(run.output, network.config, lambda last: network.card(run.recipe, last), result, running, **run.extra)
    log.info("%s: trained on %d images", run.output, plan.total_images * plan.workers)


def _plan(
    config: TrainingFlags, run: TrainingRun, network: Network, laid: Mapping[str, ray.data.Dataset]
) -> WorkerPlan:
    rows = {name: laid[name].count() // config.num_workers for name in run.train}
    first = next(iter(run.train))
    return WorkerPlan(
        start=network.start,
        batch=dict(run.batch),
        rows=rows,
        validation=tuple(run.validation),
        epochs=run.epochs,
        steps_per_epoch=rows[first] // run.batch[first],
        seed=config.seed,
        threads=config.threads,
        output=run.output,
        workers=config.num_workers,
        mlflow=config.mlflow,
    )


def _say(run: TrainingRun, laid: Mapping[str, ray.data.Dataset]) -> None:
    """Log what is trained on."""
    rows = ", ".join(f"{laid[name].count()} {name} (batches of {run.batch[name]})" for name in run.train)
    held = ", ".join(f"{laid[f'val_{name}'].count()} {name}" for name in run.validation)
    log.info("%s: rows of an epoch: %s; epochs: %d; rows to validate on: %s", run.output, rows, run.epochs, held)
