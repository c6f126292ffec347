"""The state of a training: networks, optimisers and counters, and the step of the optimisers."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from rupantara.training.ema import update_ema

Model = TypeVar("Model", bound=nn.Module)
STATEFUL = ("model", "average", "optimizer", "critic", "critic_optimizer")


@dataclass
class TrainState(Generic[Model]):
    """Everything that a resumed run needs to equal the unbroken one; randomness is seeded anew each epoch.

    `average` holds the running average of the weights; `critic` is the adversary of a VAE-GAN, if there is one. `seen` counts
    the images of all `world_size` workers. A parameter group's `scale` multiplies the learning rate.
    """

    model: Model
    average: Model
    optimizer: torch.optim.Optimizer
    critic: nn.Module | None = None
    critic_optimizer: torch.optim.Optimizer | None = None
    seen: int = 0
    step: int = 0
    world_size: int = 1

    @staticmethod
    def create(
        model: Model, groups: Sequence[dict[str, Any]], critic: nn.Module | None = None, **optimizer: Any
    ) -> "TrainState[Model]":
        """Start from a fresh model: AdamW on its parameter groups, and on the critic's."""
        average = copy.deepcopy(model).requires_grad_(False).eval()
        adversary = None
        if critic is not None:
            adversary = torch.optim.AdamW(critic.parameters(), betas=(0.5, 0.9), weight_decay=0.0, fused=True)
        return TrainState(model, average, torch.optim.AdamW(list(groups), fused=True, **optimizer), critic, adversary)

    def state_dict(self) -> dict[str, Any]:
        """Collect the state for `torch.save`."""
        parts = {name: part.state_dict() for name in STATEFUL if (part := getattr(self, name)) is not None}
        return {**parts, "seen": self.seen, "step": self.step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a saved state."""
        for name in STATEFUL:
            if (part := getattr(self, name)) is not None:
                part.load_state_dict(state[name])
            if isinstance(part, torch.optim.Optimizer):
                _lay_out(part)
        self.seen, self.step = state["seen"], state["step"]

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of this step."""
        for optimizer in (self.optimizer, self.critic_optimizer):
            for group in optimizer.param_groups if optimizer else ():
                group["lr"] = rate * group.get("scale", 1.0)

    def descend(self, loss: Tensor, *, clip: float, decay: float, images: int) -> Tensor:
        """Step the model and its average, count one worker's `images`, and return the norm of the gradient before clipping."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), clip)
        self.optimizer.step()
        self.seen += images * self.world_size
        self.step += 1
        update_ema(self.average, self.model, decay, self.step)
        return norm

    def descend_critic(self, loss: Tensor, *, clip: float) -> None:
        """Step the critic."""
        assert self.critic is not None and self.critic_optimizer is not None
        self.critic_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.critic.parameters(), clip)
        self.critic_optimizer.step()


def _lay_out(optimizer: torch.optim.Optimizer) -> None:
    """Lay an optimizer's state out as its parameters, as fused kernels assume; another machine may have saved another layout."""
    for parameter, kept in optimizer.state.items():
        for name, value in kept.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape and value.stride() != parameter.stride():
                kept[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
