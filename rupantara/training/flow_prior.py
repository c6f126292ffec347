"""One step of training the flow prior: straight paths from noise to codes, and the velocity along them."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from rupantara.models.flow_prior import OPEN, Conditions, FlowPrior, Rows
from rupantara.training.schedule import cosine
from rupantara.training.state import TrainState
from rupantara.training.warm_start import fit_pca


@dataclass(frozen=True)
class FlowObjective:
    """Settings of the optimiser; lengths are in codes seen."""

    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    drop_all: float = 0.15
    drop_one: float = 0.15
    jitter: float = 0.05
    warm_up_codes: int = 5_000
    ema_decay: float = 0.999
    gradient_clip: float = 1.0


def fit_axes(codes: np.ndarray, scale: np.ndarray, dim: int) -> dict[str, np.ndarray]:
    """Return `mean` [rows], at most `dim` `directions` [k, rows] and their `importance` [k] (of mean 1) of whole codes [n, rows].

    Directions are those that move the picture most, scaled by the codes' deviations along them: principal directions of the codes
    times `scale` (`prior.importance`); their importance is how far people move the picture along them.
    """
    pca = fit_pca((codes * scale).astype(np.float32), dim)
    directions = pca.components * pca.deviations[:, None] / scale
    found = {"mean": pca.mean / scale, "directions": directions, "importance": pca.deviations / pca.deviations.mean()}
    return {name: value.astype(np.float32) for name, value in found.items()}


def state_of(model: FlowPrior, objective: FlowObjective) -> TrainState[FlowPrior]:
    """Return the optimiser and the running average of a network at its start."""
    return TrainState.create(model, [{"params": list(model.parameters()), "weight_decay": objective.weight_decay}])


def reduce(codes: np.ndarray, scale: np.ndarray, model: FlowPrior) -> Rows:
    """Return the coordinates [n, dim] of whole codes along the axes of `fit_axes`, which are orthogonal after `scale`."""
    weighted = torch.from_numpy(scale.astype(np.float32)).to(model.mean.device)
    axes = model.directions * weighted
    return (torch.from_numpy(codes).to(weighted) - model.mean) * weighted @ axes.T / axes.square().sum(1)


def flow_loss(model: FlowPrior, codes: Rows, conditions: Conditions, objective: FlowObjective) -> Tensor:
    """Return the mean squared error of the velocity (eq. 23 of Lipman et al., sigma_min = 0), conditions dropped at random.

    Coordinates count by the model's `importance`: the velocity that is best does not depend on it, but a small network learns first
    what is seen most.
    """
    noise, t = torch.randn_like(codes), torch.rand(len(codes), device=codes.device)
    target = codes + objective.jitter * torch.randn_like(codes)
    x = torch.lerp(noise, target, t[:, None])
    alone = torch.rand(conditions.shape, device=codes.device) < objective.drop_one
    both = torch.rand(len(codes), 1, device=codes.device) < objective.drop_all
    shown = torch.where(alone | both, OPEN, conditions)
    return ((model(x, t, shown) - (target - noise)).square() * model.importance).mean()


class FlowLoss(nn.Module):
    """The network with its loss as its output: what data-parallel training wraps."""

    def __init__(self, model: FlowPrior, objective: FlowObjective) -> None:
        super().__init__()
        self.model, self._objective = model, objective

    def forward(self, codes: Rows, conditions: Conditions) -> Tensor:
        """Return the mean squared error of the velocity."""
        return flow_loss(self.model, codes, conditions, self._objective)


def train_step(
    state: TrainState[FlowPrior],
    objective: FlowObjective,
    losses: nn.Module,
    codes: Rows,
    conditions: Conditions,
    total: int,
) -> dict[str, Tensor]:
    """Take one step on reduced codes; `losses` gives the loss of both, `total` is the number of codes seen by the end."""
    state.model.train()
    rate = objective.learning_rate * cosine(state.seen, total, warm_up_images=objective.warm_up_codes)
    state.set_rate(rate)
    loss = losses(codes, conditions)
    norm = state.descend(loss, clip=objective.gradient_clip, decay=objective.ema_decay, images=len(codes))
    return {"loss": loss.detach(), "gradient_norm": norm.detach(), "lr": torch.tensor(rate)}
