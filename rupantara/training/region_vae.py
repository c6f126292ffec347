"""One optimiser step of the region VAE.

The decoder learns hybrids as well as reconstructions: for a share of the humans, some regions are swapped for a donor's, codes and pixels
alike, and the decoder has to paint the transplanted picture from the swapped codes. This makes a region code stand for its region and
nothing else, and teaches the decoder to paint animals' codes on a human. With a `composite_share` some of them are taught by the
composite of both faces, at any amount, instead of the transplant: one face where the other is a patchwork.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from rupantara.errors import MissingError
from rupantara.generation.mixing import mix
from rupantara.landmarks.points import MIRRORED_POINTS
from rupantara.landmarks.regions import REGIONS
from rupantara.losses.adversarial import critic_loss, maker_loss
from rupantara.losses.identity import Embed, identity_distance
from rupantara.losses.kl import kl_divergence
from rupantara.losses.perceptual import Features, perceptual_distance
from rupantara.losses.reconstruction import squared_error
from rupantara.losses.structural import structural_distance
from rupantara.losses.symmetry import excess_asymmetry
from rupantara.models import placement
from rupantara.models.patch_critic import PatchCritic
from rupantara.models.region_vae import RegionVAE
from rupantara.precision import in_bfloat16
from rupantara.tensors import Images, PartBoxes, SpeciesIndex
from rupantara.training import composite_targets
from rupantara.training.composite_targets import Points
from rupantara.training.schedule import cosine, warm_up
from rupantara.training.state import TrainState

FRONTAL_YAW_DEG = 10.0
"""A face turned less counts as frontal: `metrics`' pose errs by about 5 degrees."""

IDENTITY_FACES = 4
"""Faces in a step that the identity loss sees, unmixed ones first: on a CPU its network costs as much as the VAE's own step."""


@dataclass(frozen=True)
class RegionVAEObjective:
    """Weights of the losses (0 = off) and settings of the optimiser; lengths are in images seen."""

    learning_rate: float = 4e-4
    """Peak of the cosine schedule (AdamW)."""
    linear_path_rate: float = 0.03
    """Share of the learning rate at which the linear path moves, which starts from PCAs."""
    weight_decay: float = 0.01
    """Weight decay of AdamW; the linear path has none."""
    kl_weight: float = 0.002
    """Weight of the KL divergence: twice the variance of the pixels' noise model."""
    kl_warm_up_images: int = 20_000
    """Images over which the KL weight rises from zero."""
    free_bits: float = 0.0
    """Nats that each dimension of the codes may hold free of the KL divergence."""
    structural_weight: float = 0.02
    """Weight of the structural loss, 1 - SSIM."""
    perceptual_weight: float = 0.0
    """Weight of the perceptual loss."""
    identity_weight: float = 0.0
    """Weight of the ArcFace identity loss."""
    symmetry_weight: float = 0.0
    """Weight of the symmetry loss, for faces whose yaw is known to be frontal."""
    adversarial_weight: float = 0.0
    """Weight of the patch-adversarial loss (VAE-GAN)."""
    adversarial_start: float = 0.5
    """Share of the training after which the adversary enters."""
    lr_warm_up_images: int = 1_000
    """Images over which the learning rate rises from zero."""
    swap_share: float = 0.4
    """Share of the human faces that are trained as hybrids, with transplanted regions."""
    swap_region_chance: float = 0.4
    """Chance of each region of such a face to be transplanted."""
    composite_share: float = 0.0
    """Share of these hybrids that are taught by the composite with an animal, where the points of both faces are known."""
    decoder_only: bool = False
    """Train the decoder alone, from --init, whose codes stay as they are to the bit: its banks, features, blenders, edits and flow
    priors (--prior) go with the new checkpoint; of a packed --init, also once that is packed."""
    animal_weight: float = 1.0
    """Weight of the animals' squared error; that of the humans is 1."""
    gradient_clip: float = 1.0
    """Largest norm of the gradient."""
    ema_decay: float = 0.998
    """Decay of the moving average of the weights, which is what is validated and kept."""
    bfloat16: bool = True
    """Run the network in bfloat16 autocast."""


@dataclass(frozen=True)
class Networks:
    """Frozen networks that losses stand on; None = not given."""

    features: Features | None = None
    embed: Embed | None = None

    def check(self, objective: RegionVAEObjective) -> None:
        """Raise MissingError when a loss with a weight has no network: it is never silently zero."""
        for name, weight, network in (
            ("perceptual_weight", objective.perceptual_weight, self.features),
            ("identity_weight", objective.identity_weight, self.embed),
        ):
            if weight > 0 and network is None:
                raise MissingError(f"{name} is {weight:g} but its network was not given; set it to 0 to train without")


class FaceBatch(NamedTuple):
    """Faces of one domain: images, part boxes, species, keypoints [batch, 5, 2] in pixels, yaw in degrees (NaN = unknown), other points."""

    images: Images
    boxes: PartBoxes
    species: SpeciesIndex
    keypoints: Tensor
    yaw: Tensor
    points: Points

    def take(self, rows: Tensor) -> "FaceBatch":
        """Return some rows."""
        own = (part[rows] for part in (self.images, self.boxes, self.species, self.keypoints, self.yaw))
        return FaceBatch(*own, self.points.take(rows))

    def join(self, other: "FaceBatch") -> "FaceBatch":
        """Return the rows of both."""
        names = ("images", "boxes", "species", "keypoints", "yaw")
        joined = (torch.cat([getattr(self, name), getattr(other, name)]) for name in names)
        return FaceBatch(*joined, self.points.join(other.points))


class LossOutcome(NamedTuple):
    """Losses by name (`loss` is their weighted sum), the decoded pictures and their targets."""

    losses: dict[str, Tensor]
    made: Images
    wanted: Images


def parameter_groups(model: RegionVAE, objective: RegionVAEObjective) -> list[dict[str, Any]]:
    """Split the parameters: the linear path, initialized by PCAs, moves slowly, or the first steps would wash it away.

    With `decoder_only`, all others are frozen.
    """
    if objective.decoder_only:
        model.requires_grad_(False)
        for net in model.domain_nets():
            net.decoder.requires_grad_(True)
        own = [p for p in model.parameters() if p.requires_grad]
        return [{"params": own, "scale": 1.0, "weight_decay": objective.weight_decay}]
    linear = [p for net in model.domain_nets() for p in net.linear_path_parameters()]
    slow = {id(p) for p in linear}
    fast = [p for p in model.parameters() if id(p) not in slow]
    return [
        {"params": fast, "scale": 1.0, "weight_decay": objective.weight_decay},
        {"params": linear, "scale": objective.linear_path_rate, "weight_decay": 0.0},
    ]


def start(model: RegionVAE, objective: RegionVAEObjective) -> TrainState[RegionVAE]:
    """Start a training, with a critic if the objective uses one."""
    critic = PatchCritic().to(model.species_embedding.weight.device) if objective.adversarial_weight > 0 else None
    return TrainState.create(model, parameter_groups(model, objective), critic)


def augment(batch: FaceBatch) -> FaceBatch:
    """Mirror each face with chance one half, boxes and keypoints with it."""
    flip = torch.rand(len(batch.images), device=batch.images.device) < 0.5
    images = torch.where(flip[:, None, None, None], batch.images.flip(3), batch.images)
    boxes = torch.where(flip[:, None, None], placement.mirror(batch.boxes), batch.boxes)
    mirrored = batch.keypoints[:, MIRRORED_POINTS] * batch.keypoints.new_tensor([-1.0, 1.0])
    mirrored = mirrored + batch.keypoints.new_tensor([batch.images.shape[3] - 1.0, 0.0])
    keypoints = torch.where(flip[:, None, None], mirrored, batch.keypoints)
    points = batch.points.mirrored(flip, batch.images.shape[3])
    return FaceBatch(images, boxes, batch.species, keypoints, torch.where(flip, -batch.yaw, batch.yaw), points)


class RegionVAELosses(nn.Module):
    """The losses of one batch of each domain in one forward pass, which data-parallel training wraps."""

    def __init__(
        self, model: RegionVAE, objective: RegionVAEObjective, networks: Networks, critic: nn.Module | None = None
    ) -> None:
        """Take the model to train; `critic` only judges here and is not trained."""
        super().__init__()
        networks.check(objective)
        self.model, self._objective, self._networks = model, objective, networks
        # Hidden from the module's parameters: the wrapper must not wait for gradients of it.
        self._critic = (critic,)

    def forward(self, humans: FaceBatch, animals: FaceBatch, seen: int, adversarial: bool) -> LossOutcome:
        """Encode, swap, decode and compare; each loss is a mean over its faces."""
        objective, n = self._objective, len(humans.images)
        faces = humans.join(animals)
        posterior = self.model.encode(faces.images, faces.boxes, faces.species)
        global_z, regions_z = posterior.sample()
        swapped = swap_regions(objective, faces, regions_z, n)
        wanted = torch.cat([swapped.images, animals.images])
        regions_z = torch.cat([swapped.codes, regions_z[n:]])
        boxes = torch.cat([swapped.boxes, animals.boxes])
        made = self.model.decode(global_z, regions_z, boxes, faces.species)
        errors = squared_error(made, wanted)
        kl = kl_divergence(posterior.global_mu, posterior.global_logvar, free_bits=objective.free_bits)
        kl = kl + kl_divergence(
            posterior.regions_mu.flatten(1), posterior.regions_logvar.flatten(1), free_bits=objective.free_bits
        )
        parts = {"human_mse": errors[:n].mean(), "animal_mse": errors[n:].mean(), "kl_nats": kl.mean()}
        kl_weight = objective.kl_weight * warm_up(seen, objective.kl_warm_up_images) / faces.images[0].numel()
        loss = parts["human_mse"] + objective.animal_weight * parts["animal_mse"] + kl_weight * parts["kl_nats"]
        for name, weight, value in self._others(made, wanted, humans, swapped.rows, adversarial):
            parts[name] = value
            loss = loss + weight * value
        return LossOutcome({"loss": loss, **parts}, made, wanted)

    def _others(
        self, made: Images, wanted: Images, humans: FaceBatch, swapped: Tensor, adversarial: bool
    ) -> list[tuple[str, float, Tensor]]:
        """Return (name, weight, value) of the losses that are on."""
        objective, networks, n = self._objective, self._networks, len(humans.images)
        out: list[tuple[str, float, Tensor]] = []
        if objective.structural_weight > 0:
            out.append(("structural", objective.structural_weight, structural_distance(made, wanted).mean()))
        if objective.perceptual_weight > 0 and networks.features:
            value = perceptual_distance(networks.features, made, wanted).mean()
            out.append(("perceptual", objective.perceptual_weight, value))
        if objective.identity_weight > 0 and networks.embed:
            rows = swapped.int().argsort(stable=True)[:IDENTITY_FACES]
            value = identity_distance(networks.embed, made[rows], wanted[rows], humans.keypoints[rows])
            out.append(("identity", objective.identity_weight, value.mean()))
        if objective.symmetry_weight > 0:
            frontal = (humans.yaw.abs() < FRONTAL_YAW_DEG) & ~swapped
            out.append(
                ("asymmetry", objective.symmetry_weight, _mean_of(excess_asymmetry(made[:n], wanted[:n]), frontal))
            )
        if adversarial and (critic := self._critic[0]) is not None:
            out.append(("adversarial", objective.adversarial_weight, maker_loss(critic(made))))
        return out


def _mean_of(values: Tensor, rows: Tensor) -> Tensor:
    """Return the mean of the chosen rows, 0 where there are none."""
    return (values * rows).sum() / rows.sum().clamp(min=1)


class CriticLosses(nn.Module):
    """The critic's loss in one forward pass."""

    def __init__(self, critic: nn.Module) -> None:
        super().__init__()
        self.critic = critic

    def forward(self, real: Images, made: Images) -> Tensor:
        """Score photographs and decoded pictures."""
        both = self.critic(torch.cat([real, made]))
        return critic_loss(both[: len(real)], both[len(real) :])


def train_step(
    state: TrainState[RegionVAE],
    objective: RegionVAEObjective,
    losses: Callable[..., LossOutcome],
    humans: FaceBatch,
    animals: FaceBatch,
    total_images: int,
    critic_losses: Callable[..., Tensor] | None = None,
) -> dict[str, Tensor]:
    """Take one step on a batch of each domain and return the losses, detached, on their device."""
    state.model.train()
    rate = objective.learning_rate * cosine(state.seen, total_images, warm_up_images=objective.lr_warm_up_images)
    state.set_rate(rate)
    adversarial = state.critic is not None and state.seen >= objective.adversarial_start * total_images
    if state.critic is not None:
        state.critic.requires_grad_(False)
    half = in_bfloat16(humans.images.device.type, objective.bfloat16)
    with half:
        found = losses(augment(humans), augment(animals), state.seen, adversarial)
    images = len(humans.images) + len(animals.images)
    norm = state.descend(found.losses["loss"], clip=objective.gradient_clip, decay=objective.ema_decay, images=images)
    out = {name: value.detach() for name, value in found.losses.items()}
    if adversarial and state.critic is not None and critic_losses is not None:
        state.critic.requires_grad_(True)
        with half:
            loss = critic_losses(found.wanted, found.made.detach())
        state.descend_critic(loss, clip=objective.gradient_clip)
        out["critic"] = loss.detach()
    return out | {"gradient_norm": norm.detach(), "lr": torch.tensor(rate)}


class Swapped(NamedTuple):
    """Pictures with transplanted regions, region codes swapped alike, where regions lie, and which rows were changed."""

    images: Images
    codes: Tensor
    boxes: PartBoxes
    rows: Tensor


PLAIN_BOXES_CHANCE = 0.2
"""Chance that an animal's region is laid into the human's own box instead of where a hybrid has it."""


def swap_regions(objective: RegionVAEObjective, faces: FaceBatch, regions_z: Tensor, num_humans: int) -> Swapped:
    """Swap some regions of some of the humans, who come first, for those of donors drawn from the whole batch."""
    images, boxes, device = faces.images[:num_humans], faces.boxes[:num_humans], faces.images.device
    donor = torch.randint(len(faces.images), (num_humans,), device=device)
    row = torch.rand(num_humans, 1, device=device) < objective.swap_share
    chosen = ((torch.rand(num_humans, len(REGIONS), device=device) < objective.swap_region_chance) & row).float()
    moved = (faces.species[donor] > 0) & (torch.rand(num_humans, device=device) >= PLAIN_BOXES_CHANCE)
    places = placement.hybrid_boxes(boxes, chosen * moved[:, None])
    targets = placement.transplant(images, places, faces.images[donor], faces.boxes[donor], chosen)
    codes = torch.where(chosen[:, :, None] > 0, regions_z[donor], regions_z[:num_humans])
    changed = chosen.sum(1) > 0
    if objective.composite_share > 0:
        wanted = row[:, 0] & (torch.rand(num_humans, device=device) < objective.composite_share)
        made = composite_targets.make(
            faces.images, faces.points, num_humans, wanted, region_chance=objective.swap_region_chance
        )
        targets, codes, places = targets.clone(), codes.clone(), places.clone()
        targets[made.rows], changed[made.rows] = made.images, True
        codes[made.rows] = mix(regions_z[made.rows], regions_z[made.donors], made.amounts)
        places[made.rows] = placement.hybrid_boxes(boxes[made.rows], made.amounts)
    return Swapped(targets, codes, places, changed)
