"""The losses of a child's network (`002_…`, 3.5) and one step of its optimiser.

What differs from the paper: a parent's identity may also be its photograph's, and a drawn alpha is told to the network as its
dominance (2 alpha - 1), so that a child is asked to lean where alpha does.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from rupantara.errors import MissingError
from rupantara.landmarks.crop import arcface_crop
from rupantara.losses.identity import Embed
from rupantara.losses.kinship import kinship_distance
from rupantara.losses.normality import normality
from rupantara.losses.smoothness import departure
from rupantara.models.blenders import ChildNet
from rupantara.models.codecs import LatentCodec
from rupantara.precision import in_bfloat16
from rupantara.tensors import Images, PartBoxes, Tokens
from rupantara.training.ridge import RidgeSums
from rupantara.training.schedule import cosine
from rupantara.training.state import TrainState


@dataclass(frozen=True)
class BlenderObjective:
    """Weights of the three losses and settings of the optimiser; the defaults are the paper's where it tells any.

    Identity read off codes costs a thousandth of decoding them, for machines without an accelerator; what it misses the decoded
    measures tell.
    """

    identity_weight: float = 1.0
    """Weight of the identity loss (0 = off)."""
    kl_weight: float = 0.001
    """Weight of the divergence from the standard normal (0 = off)."""
    smooth_weight: float = 0.01
    """Weight of the departure from the way between the parents (0 = off)."""
    identity_through: Literal["decoder", "codes"] = "decoder"
    """Decode children for the identity loss, or read identity off their codes by a ridge regression (cheap)."""
    alpha: Literal["half", "drawn"] = "half"
    """Where between the parents a child should be: 0.5, or drawn for each pair and told to the network as dominance."""
    parents: Literal["decoded", "photograph"] = "decoded"
    """Whose identity a child is compared with: the parents' as decoded (the paper), or their photographs'."""
    identity_share: float = 1.0
    """Share of each batch that is decoded for the identity loss."""
    learning_rate: float = 3e-4
    """Peak of the cosine schedule (AdamW)."""
    weight_decay: float = 0.01
    """Weight decay."""
    gradient_clip: float = 1.0
    """Largest norm of the gradient."""
    ema_decay: float = 0.98
    """Memory of the running average of the weights, which is what is validated and kept."""
    bfloat16: bool = True
    """Run the networks in bfloat16 autocast."""

    @property
    def decodes(self) -> bool:
        """Tell whether the identity loss decodes children."""
        return self.identity_weight > 0 and self.identity_through == "decoder"

    @property
    def reads_codes(self) -> bool:
        """Tell whether the identity loss reads identity off codes."""
        return self.identity_weight > 0 and self.identity_through == "codes"


@dataclass(frozen=True)
class CodeReader:
    """Identity vectors [batch, dim] that a ridge regression reads off standardized tokens."""

    weights: Tensor
    bias: Tensor

    def __call__(self, tokens: Tokens) -> Tensor:
        """Read tokens."""
        return tokens.flatten(1) @ self.weights.to(tokens) + self.bias.to(tokens)

    @staticmethod
    def fit(tokens: np.ndarray, vectors: np.ndarray, penalty: float = 0.3) -> "CodeReader":
        """Fit a ridge regression from tokens [n, tokens, dim], which the caller has standardized, to vectors [n, dim].

        `penalty` is in units of `ridge.PENALTIES`; of 0.1 to 3, 0.3 was best on held-out people.
        """
        flat = tokens.reshape(len(tokens), -1).astype(np.float32)
        sums = RidgeSums.empty(flat.shape[1], vectors.shape[1])
        sums.update(flat, vectors.astype(np.float32))
        found = sums.solve(penalty)
        bias = found.mean_target - found.mean_vector @ found.coefficients
        return CodeReader(torch.from_numpy(found.coefficients).float(), torch.from_numpy(bias).float())


@dataclass(frozen=True)
class Parents:
    """Pairs: standardized tokens of both, boxes of both, identity vectors of both photographs (None where they are not needed)."""

    tokens: tuple[Tokens, Tokens]
    boxes: tuple[PartBoxes, PartBoxes]
    vectors: tuple[Tensor, Tensor] | None = None


class BlenderLosses(nn.Module):
    """The total loss, and its parts by name."""

    def __init__(
        self,
        model: ChildNet,
        codec: LatentCodec,
        objective: BlenderObjective,
        embed: Embed | None,
        reader: "CodeReader | None" = None,
    ) -> None:
        """Take the network, the frozen codec and what tells identity; MissingError if that is needed and not given."""
        super().__init__()
        needed = embed if objective.identity_through == "decoder" else reader
        if objective.identity_weight > 0 and needed is None:
            raise MissingError("the identity loss needs its network, which was not given")
        self.model, self._objective = model, objective
        # Hidden from the module, so that its `train()` does not reach the frozen networks.
        self._frozen = (codec, embed, reader)

    def forward(self, parents: Parents) -> dict[str, Tensor]:
        """Make children of pairs and compare."""
        objective, (first, second) = self._objective, parents.tokens
        alpha = torch.full((len(first),), 0.5, device=first.device)
        if objective.alpha == "drawn":
            alpha = torch.rand(len(first)).to(first.device)
        dominance = (2 * alpha - 1)[:, None].expand(-1, first.shape[1])
        child = self.model(first, second, dominance).float()
        parts: dict[str, Tensor] = {}
        loss = child.new_zeros(())
        if objective.kl_weight > 0:
            parts["kl"] = normality(child, self._frozen[0].moments.live.to(child.device))
            loss = loss + objective.kl_weight * parts["kl"]
        if objective.smooth_weight > 0:
            parts["smooth"] = departure(child, first, second, alpha).mean()
            loss = loss + objective.smooth_weight * parts["smooth"]
        if objective.identity_weight > 0:
            parts["identity"] = self._identity(child, parents)
            loss = loss + objective.identity_weight * parts["identity"]
        return {"loss": loss, **parts}

    def _identity(self, child: Tokens, parents: Parents) -> Tensor:
        codec, embed, reader = self._frozen
        if self._objective.identity_through == "codes":
            assert reader is not None
            wanted = parents.vectors or (reader(parents.tokens[0]), reader(parents.tokens[1]))
            return kinship_distance(reader(child), wanted[0].float(), wanted[1].float()).mean()
        assert embed is not None
        count = max(1, round(self._objective.identity_share * len(child)))
        boxes = [one[:count] for one in parents.boxes]
        made = vectors_of(codec, embed, child[:count], (boxes[0] + boxes[1]) / 2)
        if self._objective.parents == "photograph":
            if parents.vectors is None:
                raise MissingError("the identity loss needs the photographs' identity vectors, which were not given")
            wanted = [one[:count] for one in parents.vectors]
        else:
            with torch.no_grad():
                pairs = zip(parents.tokens, boxes, strict=True)
                wanted = [vectors_of(codec, embed, tokens[:count], places) for tokens, places in pairs]
        return kinship_distance(made, wanted[0].float(), wanted[1].float()).mean()


def vectors_of(codec: LatentCodec, embed: Embed, tokens: Tokens, boxes: PartBoxes) -> Tensor:
    """Decode tokens and return the identity vectors of the pictures [batch, dim]."""
    return picture_vectors(codec, embed, codec.decode(tokens, boxes))


def picture_vectors(codec: LatentCodec, embed: Embed, images: Images) -> Tensor:
    """Return the identity vectors of a codec's pictures, whose keypoints lie where it puts them."""
    points = torch.tensor(codec.keypoints, device=images.device) * images.shape[-1]
    return embed(arcface_crop(images.float(), points.expand(len(images), -1, -1))).float()


def start(model: ChildNet, objective: BlenderObjective) -> TrainState[ChildNet]:
    """Start a training."""
    groups = [{"params": list(model.parameters()), "weight_decay": objective.weight_decay}]
    return TrainState.create(model, groups, betas=(0.9, 0.99))


def train_step(
    state: TrainState[ChildNet], objective: BlenderObjective, losses: nn.Module, parents: Parents, total_images: int
) -> dict[str, Tensor]:
    """Take one step and return the losses, detached, on their device."""
    state.model.train()
    images = 2 * len(parents.tokens[0])
    rate = objective.learning_rate * cosine(state.seen, total_images, warm_up_images=20 * images)
    state.set_rate(rate)
    with in_bfloat16(parents.tokens[0].device.type, objective.bfloat16):
        found = losses(parents)
    norm = state.descend(found["loss"], clip=objective.gradient_clip, decay=objective.ema_decay, images=images)
    return {
        **{name: value.detach() for name, value in found.items()},
        "gradient_norm": norm.detach(),
        "lr": torch.tensor(rate),
    }
