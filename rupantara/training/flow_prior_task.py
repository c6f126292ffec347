"""The flow prior as a `training.task.Task`: rows of whole codes of the stream `face` in, steps and validation out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rupantara.generation import loading
from rupantara.generation.prior import importance
from rupantara.generation.rendering import decode
from rupantara.landmarks.regions import REGIONS
from rupantara.metrics.frechet import GaussianStats, frechet_distance
from rupantara.models.flow_prior import COUNTS, OPEN, Conditions, FlowPrior, FlowPriorConfig, Rows, age_class
from rupantara.models.region_vae import RegionVAE
from rupantara.tensors import to_pictures
from rupantara.training import flow_prior as steps
from rupantara.training import task
from rupantara.training.flow_prior import FlowLoss, FlowObjective, flow_loss
from rupantara.training.pairs import UNKNOWN
from rupantara.training.state import TrainState
from rupantara.training.task import Validation

STREAM = "face"
SHOWN = 6
"""People on an epoch's sheet; the same noise at each epoch."""


def conditions_of(rows: task.Rows) -> Conditions:
    """Return age class, sex and group [n, 3] of rows, OPEN where a path names none or one that the network does not know."""
    ages = [OPEN if age == UNKNOWN else age_class(int(age)) for age in rows["age"]]
    columns = (np.asarray(ages), np.asarray(rows["sex"]), np.asarray(rows["group"]))
    known = [np.where((c >= 0) & (c < count), c, OPEN) for c, count in zip(columns, COUNTS, strict=True)]
    return torch.from_numpy(np.stack(known, axis=1).astype(np.int64))


def codes_of(rows: task.Rows) -> np.ndarray:
    """Return whole codes [n, global_dim + 5 * region_dim] of rows with `tokens` of the region VAE's codec."""
    return np.asarray(rows["tokens"], np.float32).reshape(len(rows["tokens"]), -1)


class FlowPriorTask:
    """Batches of reduced codes -> steps; validation compares drawn codes with held-out ones, beside a Gaussian's."""

    def __init__(self, model: FlowPrior, objective: FlowObjective, vae: RegionVAE, device: torch.device) -> None:
        """Take a network at its start, and the region VAE whose codes it draws."""
        self.state: TrainState[Any] = steps.state_of(model.to(device), objective)
        self._objective, self._vae, self._device = objective, vae.to(device), device
        self._scale = importance(vae)

    def modules(self) -> dict[str, nn.Module]:
        """Return the network with its loss."""
        return {"network": FlowLoss(self.state.model, self._objective)}

    def step(
        self, modules: Mapping[str, nn.Module], batches: Mapping[str, task.Rows], total_images: int
    ) -> dict[str, Tensor]:
        """Take one step on a batch of codes."""
        codes, conditions = self._read(batches[STREAM])
        return steps.train_step(self.state, self._objective, modules["network"], codes, conditions, total_images)

    def _read(self, rows: task.Rows) -> tuple[Rows, Conditions]:
        model = self.state.average
        return steps.reduce(codes_of(rows), self._scale, model).to(self._device), conditions_of(rows).to(self._device)

    @torch.inference_mode()
    def validate(self, streams: Mapping[str, Iterable[task.Rows]]) -> Validation:
        """Measure the loss on held-out codes, and the Fréchet distance of drawn codes to them beside a standard normal's."""
        model, found = self.state.average.eval(), [self._read(rows) for rows in streams[STREAM]]
        held = torch.cat([codes for codes, _ in found])
        conditions = torch.cat([about for _, about in found])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            loss = float(flow_loss(model, held, conditions, self._objective))
            noise = torch.randn(held.shape).to(self._device)
        rows = model.sample(noise, torch.full_like(conditions, OPEN))
        drawn = steps.reduce(rows.cpu().numpy(), self._scale, model)
        real, made, normal = (GaussianStats.update(part.cpu().double().numpy()) for part in (held, drawn, noise))
        metrics = {"loss": loss, "frechet_codes": frechet_distance(made, real)}
        metrics["frechet_codes_gaussian"] = frechet_distance(normal, real)
        return Validation({f"val_{STREAM}_{k}": v for k, v in metrics.items()}, [self._shown(rows[:SHOWN])])

    def _shown(self, rows: Tensor) -> list[np.ndarray]:
        cut = self._vae.config.global_dim
        boxes = self.state.average.boxes.expand(len(rows), -1, -1)
        codes = rows[:, :cut], rows[:, cut:].unflatten(1, (len(REGIONS), -1))
        return list(to_pictures(decode(self._vae, *codes, boxes)))


@dataclass(frozen=True)
class FlowPriorStart:
    """Builds the task on a worker; `known` are the tensors `mean`, `directions`, `importance` and `boxes` of the codes."""

    config: FlowPriorConfig
    objective: FlowObjective
    codec: str
    known: Mapping[str, np.ndarray]

    def __call__(self, device: torch.device) -> FlowPriorTask:
        """Load the region VAE, and build the network from torch's seed."""
        code_dim = self.known["mean"].shape[0]
        model = FlowPrior(self.config, code_dim)
        for name, value in self.known.items():
            model.get_buffer(name).copy_(torch.from_numpy(value))
        return FlowPriorTask(model, self.objective, loading.load(self.codec).model, device)


def measure(rows: Any, codec: str, dim: int) -> dict[str, np.ndarray]:
    """Measure laid-out rows: their axes, at most `dim`, and mean boxes."""
    parts = list(rows.select_columns(["tokens", "boxes"]).iter_batches(batch_size=1024))
    codes = np.concatenate([codes_of(part) for part in parts])
    boxes = np.concatenate([part["boxes"] for part in parts]).mean(0)
    axes = steps.fit_axes(codes, importance(loading.load(codec).model), dim)
    return axes | {"boxes": boxes.astype(np.float32)}
