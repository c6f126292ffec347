"""One optimiser step of the decoders of `001_…`: landmarks by squared error (eq. 1), pictures by absolute error (eq. 2).

Three losses are added to the paper's, each off at weight 0: a perceptual distance; a distance between the moments of a batch, for the
variety that a pixel-wise error averages away; and an identity loss, 1 minus the cosine similarity between the vector of the face and that
of the decoded picture (a texture is first warped to the face's true landmarks, so that the two decoders stay independent).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rupantara.errors import MissingError
from rupantara.landmarks.crop import arcface_crop
from rupantara.landmarks.texture import SIDE, rescale
from rupantara.losses.identity import Embed
from rupantara.losses.moments import moment_distance
from rupantara.losses.perceptual import Features, perceptual_distance
from rupantara.models.face_decoder import FaceDecoder, lay
from rupantara.models.texture_decoder import RegressionPath, TextureDecoder
from rupantara.precision import in_bfloat16
from rupantara.tensors import Images, PointSets
from rupantara.training.schedule import cosine
from rupantara.training.state import TrainState

LINEAR_SCALE = 0.03
"""Share of the learning rate that linear paths have: at the full rate, Adam washes the regression away (decision 3)."""


@dataclass(frozen=True)
class DecoderObjective:
    """Weights of the losses (0 = off) and settings of the optimiser.

    The paper's rate (4.3) is Adam from 1e-3, beta1 0.5, divided by 1 + 9.5e-5 times the step. The paper has no
    perceptual, moment or identity loss.
    """

    learning_rate: float = 1e-3
    """Adam's first rate."""
    beta1: float = 0.5
    """Decay of Adam's average of the gradient."""
    decay: float = 9.5e-5
    """The rate is divided by 1 + decay times the step."""
    annealed: bool = False
    """Let the rate also fall by half a cosine over the training."""
    perceptual_weight: float = 0.0
    """Weight of the perceptual loss of pictures; needs its network in --weights."""
    perceptual_share: float = 1.0
    """Share of each batch that the perceptual loss sees: VGG16 costs ten times a small decoder."""
    moment_weight: float = 0.0
    """Weight of the distance between the means and standard deviations of a batch and of its photographs: more contrast, lower PSNR."""
    identity_weight: float = 0.0
    """Weight of the identity loss of pictures; needs mobilefacenet in --weights and the column arcface."""
    identity_share: float = 0.5
    """Share of each batch that the identity loss sees: its network costs as much as a small decoder."""
    landmark_weight: float = 2e-3
    """Weight of the landmarks' squared error (px²) in the joint loss."""
    gradient_clip: float = 10.0
    """Largest norm of the gradient."""
    ema_decay: float = 0.998
    """Decay of the moving average of the weights, which is what is validated and kept."""
    bfloat16: bool = False
    """Run the pictures' networks in bfloat16 autocast; landmarks are decoded in float32."""


@dataclass(frozen=True)
class Batch:
    """Faces: vectors [n, dim], landmarks in px of SIDE, target pictures (None for landmarks), identity vectors [n, 128]."""

    vectors: Tensor
    points: PointSets
    images: Images | None = None
    identities: Tensor | None = None


class LossNetworks(NamedTuple):
    """Frozen networks of the optional losses."""

    features: Features | None = None
    embed: Embed | None = None


class DecoderLosses(Protocol):
    """Losses of one batch by name; `loss` is the one that is minimized."""

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """Return scalars by name."""
        ...


def keypoints_of(points: PointSets) -> Tensor:
    """Return the five keypoints of 68 points [n, 68, 2] as `landmarks.points.keypoints_from` does: [n, 5, 2]."""
    eyes = [points[:, 36:42].mean(1), points[:, 42:48].mean(1)]
    return torch.stack([*eyes, points[:, 30], points[:, 48], points[:, 54]], dim=1)


def start(model: nn.Module, objective: DecoderObjective) -> TrainState[nn.Module]:
    """Start a training; without weight decay AdamW is the paper's Adam. Linear paths move at LINEAR_SCALE of the rate."""
    linear = [p for part in model.modules() if isinstance(part, RegressionPath) for p in part.parameters()]
    own = {id(p) for p in linear}
    groups: list[dict[str, Any]] = [
        {"params": [p for p in model.parameters() if id(p) not in own], "weight_decay": 0.0}
    ]
    groups += [{"params": linear, "weight_decay": 0.0, "scale": LINEAR_SCALE}] if linear else []
    return TrainState.create(model, groups, betas=(objective.beta1, 0.999))


class LandmarkLosses(nn.Module):
    """Equation 1: the mean squared error of the 136 numbers, px² of SIDE."""

    def __init__(self, model: nn.Module) -> None:
        """Take the landmark decoder."""
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Decode and compare."""
        mse = ((self.model(batch.vectors) - batch.points) ** 2).mean()
        return {"loss": mse, "landmark_mse": mse}


class PictureLosses(nn.Module):
    """Equation 2 on textures (`texture`), whole faces (`single`) or faces warped by both decoders (`joint`), and the added losses."""

    def __init__(self, model: nn.Module, part: str, objective: DecoderObjective, judging: LossNetworks) -> None:
        """Take the model of a part to train; MissingError for a loss whose network was not given."""
        super().__init__()
        for name, weight, network in (
            ("perceptual", objective.perceptual_weight, judging.features),
            ("identity", objective.identity_weight, judging.embed),
        ):
            if weight > 0 and network is None:
                raise MissingError(f"the {name} loss needs its network, which was not given")
        self.model, self._part, self._objective = model, part, objective
        # Hidden from the module, so that its `train()` does not reach the frozen networks.
        self._judging = (judging,)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Decode and compare."""
        assert batch.images is not None
        objective, judging = self._objective, self._judging[0]
        parts: dict[str, Tensor] = {}
        if isinstance(self.model, FaceDecoder):
            points, _, made = self.model(batch.vectors)
            parts["landmark_mse"] = ((points - batch.points) ** 2).mean()
        else:
            made = self.model(batch.vectors)
        parts["mae"] = (made - batch.images).abs().mean()
        loss = parts["mae"] + objective.landmark_weight * parts.get("landmark_mse", torch.zeros_like(parts["mae"]))
        if objective.perceptual_weight > 0 and judging.features is not None:
            most = self._most(objective.perceptual_share, len(made))
            parts["perceptual"] = perceptual_distance(judging.features, made[:most], batch.images[:most]).mean()
            loss = loss + objective.perceptual_weight * parts["perceptual"]
        if objective.moment_weight > 0:
            parts["moment"] = moment_distance(made, batch.images)
            loss = loss + objective.moment_weight * parts["moment"]
        if objective.identity_weight > 0 and judging.embed is not None:
            parts["identity"] = self._identity(judging.embed, made, batch).mean()
            loss = loss + objective.identity_weight * parts["identity"]
        return {"loss": loss, **parts}

    @staticmethod
    def _most(share: float, count: int) -> int:
        return max(1, round(share * count))

    def _identity(self, embed: Embed, made: Images, batch: Batch) -> Tensor:
        """Return 1 minus the cosine of each face's vector and that of its decoded picture, for the first share of the batch."""
        if batch.identities is None:
            raise MissingError("the identity loss needs the faces' identity vectors, which were not given")
        most = self._most(self._objective.identity_share, len(made))
        made, points, identities = made[:most], batch.points[:most], batch.identities[:most]
        if self._part == "texture" and isinstance(self.model, TextureDecoder):
            made = lay(made, points, self.model.mean_points)
        points = rescale(points, SIDE, made.shape[-1])
        found = embed(arcface_crop(made, keypoints_of(points)))
        return 1 - F.cosine_similarity(found.float(), identities, dim=1)


def train_step(
    state: TrainState[nn.Module], objective: DecoderObjective, losses: DecoderLosses, batch: Batch, total_images: int
) -> dict[str, Tensor]:
    """Take one step and return the losses, detached, on their device."""
    state.model.train()
    rate = objective.learning_rate / (1 + objective.decay * state.step)
    if objective.annealed:
        rate *= cosine(state.seen, total_images, warm_up_images=0)
    state.set_rate(rate)
    with in_bfloat16(batch.vectors.device.type, objective.bfloat16):
        found = losses(batch)
    images = len(batch.vectors)
    norm = state.descend(found["loss"], clip=objective.gradient_clip, decay=objective.ema_decay, images=images)
    out: Mapping[str, Tensor] = {name: value.detach() for name, value in found.items()}
    return {**out, "gradient_norm": norm.detach(), "lr": torch.tensor(rate)}
