"""One optimiser step of the region VAE.

Beside reconstructing, the human decoder learns what a hybrid is: for a share of the faces some regions are swapped for a
donor's, codes and pixels alike, and the decoder has to paint the transplanted picture from the swapped codes. That is what
makes a region code mean its region, and only its region, and what makes codes of animals known to the human decoder.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rupantara.landmarks.regions import REGIONS
from rupantara.losses.kl import kl_divergence
from rupantara.losses.reconstruction import squared_error
from rupantara.models import placement
from rupantara.models.region_vae import Posterior, RegionVAE
from rupantara.tensors import Images, PartBoxes, SpeciesIndex
from rupantara.training.ema import update_ema
from rupantara.training.schedule import cosine, warm_up


@dataclass(frozen=True)
class Objective:
    """Weights of the loss and settings of the optimiser; lengths are in images seen."""

    learning_rate: float = 4e-4
    linear_path_rate: float = 0.03
    weight_decay: float = 0.01
    kl_weight: float = 0.002
    kl_warm_up_images: int = 20_000
    lr_warm_up_images: int = 1_000
    swap_share: float = 0.4
    swap_region_chance: float = 0.4
    animal_weight: float = 1.0
    gradient_clip: float = 1.0
    ema_decay: float = 0.998
    bfloat16: bool = True


class FaceBatch(NamedTuple):
    """Images [-1, 1], part boxes and species index of one domain."""

    images: Images
    boxes: PartBoxes
    species: SpeciesIndex


@dataclass
class TrainState:
    """Everything that a resumed run needs to equal the unbroken one; randomness is seeded anew each epoch.

    `seen` counts the images of all `world_size` workers.
    """

    model: RegionVAE
    average: RegionVAE
    optimizer: torch.optim.Optimizer
    seen: int = 0
    step: int = 0
    world_size: int = 1

    @staticmethod
    def create(model: RegionVAE, objective: Objective) -> "TrainState":
        """Start from a fresh model."""
        average = copy.deepcopy(model).requires_grad_(False).eval()
        return TrainState(model, average, torch.optim.AdamW(parameter_groups(model, objective), fused=True))

    def state_dict(self) -> dict[str, Any]:
        """Collect the state for `torch.save`."""
        parts = {name: getattr(self, name).state_dict() for name in ("model", "average", "optimizer")}
        return {**parts, "seen": self.seen, "step": self.step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a saved state."""
        for name in ("model", "average", "optimizer"):
            getattr(self, name).load_state_dict(state[name])
        self.seen, self.step = state["seen"], state["step"]


def parameter_groups(model: RegionVAE, objective: Objective) -> list[dict[str, Any]]:
    """Split the parameters: the warm-started linear path moves slowly, or the first steps would wash it away."""
    slow = {id(p) for p in model.linear_path_parameters()}
    fast = [p for p in model.parameters() if id(p) not in slow]
    return [
        {"params": fast, "scale": 1.0, "weight_decay": objective.weight_decay},
        {"params": list(model.linear_path_parameters()), "scale": objective.linear_path_rate, "weight_decay": 0.0},
    ]


def augment(batch: FaceBatch) -> FaceBatch:
    """Mirror each face with chance one half, boxes with it."""
    flip = torch.rand(len(batch.images), device=batch.images.device) < 0.5
    images = torch.where(flip[:, None, None, None], batch.images.flip(3), batch.images)
    boxes = torch.where(flip[:, None, None], placement.mirror(batch.boxes), batch.boxes)
    return FaceBatch(images, boxes, batch.species)


def train_step(
    state: TrainState,
    objective: Objective,
    humans: FaceBatch,
    animals: FaceBatch,
    total_images: int,
    losses_of: Callable[[FaceBatch, FaceBatch, int], dict[str, Tensor]] | None = None,
) -> dict[str, float]:
    """Take one step on a batch of each domain and return the losses.

    `losses_of` stands for `compute_losses` where a wrapper (DDP) has to see the forward pass.
    """
    losses_of = losses_of or partial(compute_losses, state.model, objective)
    state.model.train()
    rate = objective.learning_rate * cosine(state.seen, total_images, warm_up_images=objective.lr_warm_up_images)
    for group in state.optimizer.param_groups:
        group["lr"] = rate * group["scale"]
    with torch.autocast(humans.images.device.type, torch.bfloat16, enabled=objective.bfloat16):
        losses = losses_of(augment(humans), augment(animals), state.seen)
    state.optimizer.zero_grad(set_to_none=True)
    losses["loss"].backward()
    norm = torch.nn.utils.clip_grad_norm_(state.model.parameters(), objective.gradient_clip)
    state.optimizer.step()
    state.seen += (len(humans.images) + len(animals.images)) * state.world_size
    state.step += 1
    update_ema(state.average, state.model, objective.ema_decay, state.step)
    return {name: float(value.detach()) for name, value in losses.items()} | {"gradient_norm": float(norm), "lr": rate}


def compute_losses(
    model: RegionVAE, objective: Objective, humans: FaceBatch, animals: FaceBatch, seen: int
) -> dict[str, Tensor]:
    """Return the loss and its parts, each a mean over its batch."""
    n = len(humans.images)
    images, boxes = torch.cat([humans.images, animals.images]), torch.cat([humans.boxes, animals.boxes])
    posterior = model.encode(images, boxes)
    global_z, regions_z = posterior.sample()
    targets, human_regions = swap_regions(objective, images, boxes, regions_z, n)
    human_out = model.decode_human(global_z[:n], human_regions, boxes[:n])
    animal_out = model.decode_animal(global_z[n:], regions_z[n:], boxes[n:], animals.species)
    human = squared_error(human_out, targets).mean()
    animal = squared_error(animal_out, animals.images).mean()
    kl = _kl(posterior).mean()
    weight = objective.kl_weight * warm_up(seen, objective.kl_warm_up_images) / images[0].numel()
    loss = human + objective.animal_weight * animal + weight * kl
    return {"loss": loss, "human_mse": human, "animal_mse": animal, "kl_nats": kl}


def _kl(posterior: Posterior) -> Tensor:
    return kl_divergence(posterior.global_mu, posterior.global_logvar) + kl_divergence(
        posterior.regions_mu, posterior.regions_logvar
    )


def swap_regions(
    objective: Objective, images: Images, boxes: PartBoxes, regions_z: Tensor, num_humans: int
) -> tuple[Images, Tensor]:
    """Swap some regions of some humans for those of donors drawn from the whole batch: (target images, region codes)."""
    device = images.device
    donor = torch.randint(len(images), (num_humans,), device=device)
    row = torch.rand(num_humans, 1, device=device) < objective.swap_share
    chosen = ((torch.rand(num_humans, len(REGIONS), device=device) < objective.swap_region_chance) & row).float()
    targets = placement.transplant(images[:num_humans], boxes[:num_humans], images[donor], boxes[donor], chosen)
    codes = torch.where(chosen[:, :, None] > 0, regions_z[donor], regions_z[:num_humans])
    return targets, codes
