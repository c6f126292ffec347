"""One step of training the flow prior: straight paths from noise to codes, and the velocity along them."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rupantara.models.flow_prior import OPEN, Conditions, FlowPrior, FlowPriorConfig, Rows
from rupantara.training.schedule import cosine
from rupantara.training.state import TrainState
from rupantara.training.warm_start import fit_pca


@dataclass(frozen=True)
class FlowObjective:
    """Settings of the optimiser; lengths are in codes seen."""

    learning_rate: float = 1.5e-3
    weight_decay: float = 0.05
    drop_all: float = 0.15
    drop_one: float = 0.15
    jitter: float = 0.05
    warm_up_codes: int = 5_000
    ema_decay: float = 0.999
    gradient_clip: float = 1.0


def start(
    codes: np.ndarray, scale: np.ndarray, boxes: np.ndarray, config: FlowPriorConfig, objective: FlowObjective
) -> TrainState[FlowPrior]:
    """Reduce whole codes [n, rows] by the directions that move the picture most (`scale` = `prior.importance`), and start."""
    pca = fit_pca((codes * scale).astype(np.float32), config.dim)
    model = FlowPrior(config, codes.shape[1])
    model.mean.copy_(torch.from_numpy((pca.mean / scale).astype(np.float32)))
    model.directions.copy_(torch.from_numpy((pca.components * pca.deviations[:, None] / scale).astype(np.float32)))
    model.boxes.copy_(torch.from_numpy(boxes))
    groups = [{"params": list(model.parameters()), "weight_decay": objective.weight_decay}]
    return TrainState.create(model, groups)


def reduce(codes: np.ndarray, scale: np.ndarray, model: FlowPrior) -> Rows:
    """Return the coordinates [n, dim] of whole codes, as `start` measures them (orthogonal after `scale`)."""
    weighted = torch.from_numpy(scale.astype(np.float32))
    axes = model.directions * weighted
    return (torch.from_numpy(codes) - model.mean) * weighted @ axes.T / axes.square().sum(1)


def flow_loss(model: FlowPrior, codes: Rows, conditions: Conditions, objective: FlowObjective) -> Tensor:
    """Return the mean squared error of the velocity (eq. 23 of Lipman et al., sigma_min = 0), conditions dropped at random."""
    noise, t = torch.randn_like(codes), torch.rand(len(codes))
    target = codes + objective.jitter * torch.randn_like(codes)
    x = torch.lerp(noise, target, t[:, None])
    alone = torch.rand(len(codes), conditions.shape[1]) < objective.drop_one
    both = torch.rand(len(codes), 1) < objective.drop_all
    shown = torch.where(alone | both, OPEN, conditions)
    return (model(x, t, shown) - (target - noise)).square().mean()


def train_step(
    state: TrainState[FlowPrior], objective: FlowObjective, codes: Rows, conditions: Conditions, total: int
) -> dict[str, Tensor]:
    """Take one step on reduced codes; `total` is the number of codes seen by the end."""
    state.model.train()
    rate = objective.learning_rate * cosine(state.seen, total, warm_up_images=objective.warm_up_codes)
    state.set_rate(rate)
    loss = flow_loss(state.model, codes, conditions, objective)
    norm = state.descend(loss, clip=objective.gradient_clip, decay=objective.ema_decay, images=len(codes))
    return {"loss": loss.detach(), "gradient_norm": norm.detach(), "lr": torch.tensor(rate)}
