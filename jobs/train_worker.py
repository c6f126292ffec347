"""The loop that Ray Train runs on each worker: epochs of steps, validation, picture grid, checkpoint."""

import json
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import ray.train
import ray.train.torch
import torch
from torch import nn

from jobs.train_progress import LOG, Progress
from rupantara.imaging import codec
from rupantara.metrics.image import ImageStats
from rupantara.models.region_vae import Components, RegionVAE, RegionVAEConfig
from rupantara.reports.grids import grid
from rupantara.stages.faces import to_images, to_pictures
from rupantara.storage import uris
from rupantara.training.region_vae import FaceBatch, Objective, TrainState, compute_losses, train_step
from rupantara.training.warm_start import Pca

DOMAINS = ("human", "animal")


@dataclass(frozen=True)
class Plan:
    """What the driver decided for every worker."""

    model: RegionVAEConfig
    objective: Objective
    batch: dict[str, int]
    epochs: int
    steps_per_epoch: int
    total_images: int
    seed: int
    threads: int
    output: str
    channels_last: bool
    warm_start: tuple[Pca, list[Pca]]


class Losses(nn.Module):
    """The loss as a module, so that DDP sees one forward."""

    def __init__(self, model: RegionVAE, objective: Objective) -> None:
        super().__init__()
        self.model, self.objective = model, objective

    def forward(self, humans: FaceBatch, animals: FaceBatch, seen: int) -> dict[str, torch.Tensor]:
        """Compute the losses of one batch of each domain."""
        return compute_losses(self.model, self.objective, humans, animals, seen)


def train(arguments: dict[str, Any]) -> dict[str, Any]:
    """Run on one worker; returns the last epoch's metrics."""
    plan: Plan = arguments["plan"]
    torch.set_num_threads(plan.threads or os.cpu_count() or 1)
    device = ray.train.torch.get_device()
    rank = ray.train.get_context().get_world_rank()
    torch.manual_seed(plan.seed)
    model = RegionVAE(plan.model)
    whole, regions = plan.warm_start
    model.warm_start(as_components(whole), [as_components(pca) for pca in regions])
    if plan.channels_last:
        model = model.to(memory_format=torch.channels_last)  # ty: ignore[no-matching-overload]
    state = TrainState.create(model.to(device), plan.objective)
    losses = ray.train.torch.prepare_model(Losses(state.model, plan.objective), move_to_device=False)
    state.world_size = ray.train.get_context().get_world_size()
    history = _resume(state)
    for epoch in range(len(history), plan.epochs):
        torch.manual_seed(plan.seed + 1000 * (epoch + 1) + rank)
        started, first = time.monotonic(), state.seen
        row = {"epoch": epoch, **_one_epoch(plan, state, losses, epoch, device)}
        seconds = time.monotonic() - started
        row |= {"images": state.seen, "images_per_s": (state.seen - first) / seconds, "seconds": seconds}
        if rank == 0:
            row |= validate(plan, state.average, epoch, device)
        history.append(row)
        _report(plan, state, history, rank)
    return history[-1]


def as_components(pca: Pca) -> Components:
    """Turn a PCA's arrays into tensors."""
    return Components(*(torch.tensor(array) for array in pca))


def _resume(state: TrainState) -> list[dict[str, float]]:
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        return []
    with checkpoint.as_directory() as folder:
        saved = torch.load(Path(folder, "state.pt"), weights_only=True, map_location="cpu")
    state.load_state_dict(saved["state"])
    return saved["history"]


def _report(plan: Plan, state: TrainState, history: list[dict[str, float]], rank: int) -> None:
    """Save the state; every rank reports, rank 0 with the checkpoint."""
    folder, checkpoint = tempfile.mkdtemp(), None
    if rank == 0:
        torch.save({"state": state.state_dict(), "history": history}, Path(folder, "state.pt"))
        checkpoint = ray.train.Checkpoint.from_directory(folder)
        lines = "".join(json.dumps(row) + "\n" for row in history)
        uris.write_bytes(uris.join(plan.output, LOG), lines.encode())
    name = f"epoch_{len(history):04d}"
    ray.train.report(
        history[-1], checkpoint=checkpoint, checkpoint_dir_name=name, delete_local_checkpoint_after_upload=True
    )


def _one_epoch(plan: Plan, state: TrainState, losses: nn.Module, epoch: int, device: torch.device) -> dict[str, float]:
    streams = [batches(plan, name, epoch) for name in DOMAINS]
    progress = Progress(plan.output, plan.epochs, plan.total_images, state.seen)
    sums: dict[str, float] = {}
    for _ in range(plan.steps_per_epoch):
        human, animal = (as_faces(next(stream), device) for stream in streams)
        for name, value in train_step(state, plan.objective, human, animal, plan.total_images, losses).items():
            sums[name] = sums.get(name, 0.0) + value
        progress.say(epoch, state.seen, sums["loss"] / (state.step - epoch * plan.steps_per_epoch))
    return {name: value / plan.steps_per_epoch for name, value in sums.items()}


def batches(plan: Plan, name: str, epoch: int) -> Iterator[dict[str, np.ndarray]]:
    """Yield an epoch's batches of a domain, which goes on where the epoch before it ended.

    The whole sequence over rounds of the data is fixed by the seed, so an epoch that is resumed starts at the same batch.
    """
    shard, skip = ray.train.get_dataset_shard(name), epoch * plan.steps_per_epoch
    round_ = 0
    while True:
        stream = shard.iter_batches(
            batch_size=plan.batch[name],
            drop_last=True,
            local_shuffle_buffer_size=512,
            local_shuffle_seed=plan.seed + 7919 * round_,
        )
        for batch in stream:
            if skip:
                skip -= 1
            else:
                yield batch
        round_ += 1


def as_faces(batch: dict[str, np.ndarray], device: torch.device) -> FaceBatch:
    """Turn a batch of `TrainingFaces` rows into tensors."""
    boxes, species = torch.tensor(batch["boxes"]), torch.tensor(batch["species"])
    return FaceBatch(to_images(batch["image"]).to(device), boxes.to(device), species.to(device))


@torch.inference_mode()
def validate(plan: Plan, model: RegionVAE, epoch: int, device: torch.device) -> dict[str, float]:
    """Measure the averaged model on the validation split and write a grid of sources and reconstructions."""
    out: dict[str, float] = {}
    rows = []
    for name in DOMAINS:
        stats, shown = ImageStats(), 0
        for batch in ray.train.get_dataset_shard(f"val_{name}").iter_batches(batch_size=32):
            faces = as_faces(batch, device)
            decoded = reconstruct(model, faces, name)
            stats = stats.merge(ImageStats.update(decoded, faces.images))
            if not shown:
                rows += [list(islice(to_pictures(images), 10)) for images in (faces.images, decoded)]
                shown = len(faces.images)
        out |= {f"val_{name}_{key}": value for key, value in stats.compute().items()}
    uris.write_bytes(uris.join(plan.output, f"grids/epoch_{epoch:04d}.png"), codec.encode_png(grid(rows)))
    return out


def reconstruct(model: RegionVAE, faces: FaceBatch, domain: str) -> torch.Tensor:
    """Encode and decode with the means of the codes."""
    posterior = model.encode(faces.images, faces.boxes)
    if domain == "human":
        return model.decode_human(posterior.global_mu, posterior.regions_mu, faces.boxes)
    return model.decode_animal(posterior.global_mu, posterior.regions_mu, faces.boxes, faces.species)
