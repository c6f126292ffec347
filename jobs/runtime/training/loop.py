"""The loop that Ray Train runs on each worker: epochs of steps, validation, picture grid, checkpoint. It knows no network."""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray.train
import ray.train.torch
import torch
from torch import nn

from jobs.runtime.training import logs, stop
from jobs.runtime.training.batches import batches
from jobs.runtime.training.progress import Progress
from jobs.runtime.training.room import threads
from rupantara.errors import UserError
from rupantara.imaging import codec
from rupantara.reports.grids import grid
from rupantara.storage import uris
from rupantara.training.finite import check_values, check_weights
from rupantara.training.streams import Rows
from rupantara.training.task import Task


@dataclass(frozen=True)
class WorkerPlan:
    """What the driver decided for every worker; `batch` and `rows` are by training stream, rows of one worker."""

    start: Callable[[torch.device], Task]
    batch: dict[str, int]
    rows: dict[str, int]
    validation: tuple[str, ...]
    epochs: int
    steps_per_epoch: int
    seed: int
    threads: int
    output: str
    workers: int = 1
    mlflow: str = ""
    spare_threads: int = 0

    @property
    def total_images(self) -> int:
        """Return the images that one worker's epochs show."""
        return self.epochs * self.steps_per_epoch * sum(self.batch.values())


def run_worker(arguments: dict[str, Any]) -> dict[str, Any]:
    """Run on one worker; returns the last epoch's metrics, or why the training stopped for good.

    An error that the user has to mend is left for the driver: where there are other workers, which wait for this one, it fails the group,
    and the group that Ray starts in its place finds it.
    """
    plan: WorkerPlan = arguments["plan"]
    if why := stop.reason(plan.output):
        return {stop.STOPPED: why}
    try:
        return _train(plan)
    except UserError as error:
        stop.leave(plan.output, str(error))
        if ray.train.get_context().get_world_size() > 1:
            raise
        return {stop.STOPPED: str(error)}


def _train(plan: WorkerPlan) -> dict[str, float]:
    torch.set_num_threads(threads(plan.threads, plan.spare_threads))
    rank = ray.train.get_context().get_world_rank()
    torch.manual_seed(plan.seed)
    task = plan.start(ray.train.torch.get_device())
    # Schedules go by the planned workers' images, so that they end where they should when an elastic training shrinks or grows.
    task.state.world_size = plan.workers
    modules = {name: ray.train.torch.prepare_model(part, move_to_device=False) for name, part in task.modules().items()}
    history = _resume(task)
    # Begun once: a stream that is begun anew each epoch waits for its first chunk each time.
    streams = {
        name: batches(name, plan.batch[name], plan.rows[name], plan.seed, len(history) * plan.steps_per_epoch)
        for name in plan.batch
    }
    for epoch in range(len(history), plan.epochs):
        torch.manual_seed(plan.seed + 1000 * (epoch + 1) + rank)
        started, first = time.monotonic(), task.state.seen
        row = {"epoch": epoch, **_one_epoch(plan, task, modules, streams, epoch)}
        seconds = time.monotonic() - started
        row |= {"images": task.state.seen, "images_per_s": (task.state.seen - first) / seconds, "seconds": seconds}
        # What is saved is the last good epoch: nothing after a check that fails.
        when = f"epoch {epoch + 1}"
        check_weights(task.state, when)
        if rank == 0:
            row |= _validate(plan, task, epoch)
        check_values(row, when)
        history.append(row)
        _report(plan, task, history, rank)
    return history[-1]


def _resume(task: Task) -> list[dict[str, float]]:
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        return []
    with checkpoint.as_directory() as folder:
        saved = torch.load(Path(folder, "state.pt"), weights_only=True, map_location="cpu")
    task.state.load_state_dict(saved["state"])
    return saved["history"]


def _report(plan: WorkerPlan, task: Task, history: list[dict[str, float]], rank: int) -> None:
    """Save the state; every rank reports, rank 0 with the checkpoint."""
    folder, checkpoint = tempfile.mkdtemp(), None
    if rank == 0:
        torch.save({"state": task.state.state_dict(), "history": history}, Path(folder, "state.pt"))
        checkpoint = ray.train.Checkpoint.from_directory(folder)
        logs.write(plan.output, history, mlflow=plan.mlflow)
    name = f"epoch_{len(history):04d}"
    ray.train.report(
        history[-1], checkpoint=checkpoint, checkpoint_dir_name=name, delete_local_checkpoint_after_upload=True
    )


def _one_epoch(
    plan: WorkerPlan, task: Task, modules: Mapping[str, nn.Module], streams: Mapping[str, Iterator[Rows]], epoch: int
) -> dict[str, float]:
    total = plan.total_images * plan.workers
    progress = Progress(plan.output, plan.epochs, total, task.state.seen)
    sums: dict[str, torch.Tensor] = {}
    for done in range(1, plan.steps_per_epoch + 1):
        taken = {name: next(stream) for name, stream in streams.items()}
        values = task.step(modules, taken, total)
        for name, value in values.items():
            sums[name] = sums[name] + value if name in sums else value.double()
        # Reading a value waits for a GPU: there the sums, which keep what was not finite, are read when the loss is said.
        on_cpu = values["loss"].device.type == "cpu"
        if on_cpu or progress.due:
            check_values(values if on_cpu else sums, f"step {done} of epoch {epoch + 1}")
        progress.say(epoch, task.state.seen, sums["loss"], done)
    return {name: float(value) / plan.steps_per_epoch for name, value in sums.items()}


def _validate(plan: WorkerPlan, task: Task, epoch: int) -> dict[str, float]:
    streams = {name: ray.train.get_dataset_shard(f"val_{name}").iter_batches(batch_size=32) for name in plan.validation}
    found = task.validate(streams)
    uris.write_bytes(uris.join(plan.output, f"grids/epoch_{epoch:04d}.png"), codec.encode_png(grid(found.pictures)))
    return found.metrics
