"""The loop that Ray Train runs on each worker: epochs of steps, validation, picture grid, checkpoint. It knows no network."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import ray.train
import ray.train.torch
import torch
from torch import nn

from jobs.runtime import train_logs
from jobs.runtime.train_progress import Progress
from rupantara.errors import UserError
from rupantara.imaging import codec
from rupantara.reports.grids import grid
from rupantara.storage import uris
from rupantara.training.task import Rows, Task

CHUNK_ROWS = 1024
"""Rows taken from Ray Data and shuffled at a time (200 MB at 256 x 256): asking for every batch cost a fifth of the step."""

T = TypeVar("T")


@dataclass(frozen=True)
class Plan:
    """What the driver decided for every worker; `batch` and `rows` are by training stream, rows of one worker."""

    make: Callable[[torch.device], Task]
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

    @property
    def total_images(self) -> int:
        """Return the images that one worker's epochs show."""
        return self.epochs * self.steps_per_epoch * sum(self.batch.values())


def train(arguments: dict[str, Any]) -> dict[str, Any]:
    """Run on one worker; returns the last epoch's metrics."""
    plan: Plan = arguments["plan"]
    torch.set_num_threads(plan.threads or os.cpu_count() or 1)
    context = ray.train.get_context()
    rank = context.get_world_rank()
    torch.manual_seed(plan.seed)
    task = plan.make(ray.train.torch.get_device())
    # Schedules go by the planned workers' images, so that they end where they should when an elastic training shrinks or grows.
    task.state.world_size = plan.workers
    modules = {name: ray.train.torch.prepare_model(part, move_to_device=False) for name, part in task.modules().items()}
    history = _resume(task)
    # Begun once: a stream that is begun anew each epoch waits for its first chunk each time.
    streams = {name: batches(plan, name, len(history)) for name in plan.batch}
    for epoch in range(len(history), plan.epochs):
        torch.manual_seed(plan.seed + 1000 * (epoch + 1) + rank)
        started, first = time.monotonic(), task.state.seen
        row = {"epoch": epoch, **_one_epoch(plan, task, modules, streams, epoch)}
        seconds = time.monotonic() - started
        row |= {"images": task.state.seen, "images_per_s": (task.state.seen - first) / seconds, "seconds": seconds}
        if rank == 0:
            row |= _validate(plan, task, epoch)
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


def _report(plan: Plan, task: Task, history: list[dict[str, float]], rank: int) -> None:
    """Save the state; every rank reports, rank 0 with the checkpoint."""
    folder, checkpoint = tempfile.mkdtemp(), None
    if rank == 0:
        torch.save({"state": task.state.state_dict(), "history": history}, Path(folder, "state.pt"))
        checkpoint = ray.train.Checkpoint.from_directory(folder)
        train_logs.write(plan.output, history, mlflow=plan.mlflow)
    name = f"epoch_{len(history):04d}"
    ray.train.report(
        history[-1], checkpoint=checkpoint, checkpoint_dir_name=name, delete_local_checkpoint_after_upload=True
    )


def _one_epoch(
    plan: Plan, task: Task, modules: Mapping[str, nn.Module], streams: Mapping[str, Iterator[Rows]], epoch: int
) -> dict[str, float]:
    total = plan.total_images * plan.workers
    progress = Progress(plan.output, plan.epochs, total, task.state.seen)
    sums: dict[str, torch.Tensor] = {}
    for done in range(1, plan.steps_per_epoch + 1):
        taken = {name: next(stream) for name, stream in streams.items()}
        for name, value in task.step(modules, taken, total).items():
            sums[name] = sums[name] + value if name in sums else value.double()
        progress.say(epoch, task.state.seen, sums["loss"], done)
    return {name: float(value) / plan.steps_per_epoch for name, value in sums.items()}


def batches(plan: Plan, name: str, epoch: int) -> Iterator[Rows]:
    """Yield a stream's batches from an epoch on, without end.

    The whole sequence over rounds of the data is fixed by the seed, so an epoch that is resumed starts at the same batch.
    """
    shard, batch = ray.train.get_dataset_shard(name), plan.batch[name]
    sizes = [min(CHUNK_ROWS, plan.rows[name] - start) for start in range(0, plan.rows[name], CHUNK_ROWS)]
    a_round = sum(size // batch for size in sizes)
    if not a_round:
        raise UserError(f"a worker must have at least one batch of {batch} {name} rows, got {plan.rows[name]}")
    round_, skip = divmod(epoch * plan.steps_per_epoch, a_round)
    for chunk, order in _ahead(_shuffled(shard, plan.seed, round_)):
        for start in range(0, len(order) - batch + 1, batch):
            if skip:
                skip -= 1
            else:
                rows = order[start : start + batch]
                yield {column: values[rows] for column, values in chunk.items()}


def _shuffled(shard: Any, seed: int, round_: int) -> Iterator[tuple[Rows, np.ndarray]]:
    """Yield chunks of a shard, round after round, each with an order of its rows."""
    while True:
        rng = np.random.default_rng((seed, round_))
        for chunk in shard.iter_batches(batch_size=CHUNK_ROWS, prefetch_batches=0):
            yield chunk, rng.permutation(len(next(iter(chunk.values()))))
        round_ += 1


def _ahead(items: Iterator[T]) -> Iterator[T]:
    """Yield what `items` yields without end, the next one in the making meanwhile, also over the end of a round."""
    pool = ThreadPoolExecutor(1)
    try:
        coming = pool.submit(items.__next__)
        while True:
            item = coming.result()
            coming = pool.submit(items.__next__)
            yield item
    finally:
        # Not waited for: the next round of a shard begins only when every worker has asked for it.
        pool.shutdown(wait=False, cancel_futures=True)


def _validate(plan: Plan, task: Task, epoch: int) -> dict[str, float]:
    streams = {name: ray.train.get_dataset_shard(f"val_{name}").iter_batches(batch_size=32) for name in plan.validation}
    found = task.validate(streams)
    uris.write_bytes(uris.join(plan.output, f"grids/epoch_{epoch:04d}.png"), codec.encode_png(grid(found.pictures)))
    return found.metrics
