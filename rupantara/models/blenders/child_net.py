"""The network that makes a child's tokens of two parents': dominance, a blender, the refiner."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from rupantara.models.blenders.average import Average
from rupantara.models.blenders.linear import Linear
from rupantara.models.blenders.mlp import MLP
from rupantara.models.blenders.product import Product
from rupantara.models.blenders.refiner import Refiner
from rupantara.models.codecs.protocol import Moments
from rupantara.tensors import Tokens

Kind = Literal["average", "product", "linear", "mlp"]
KINDS: tuple[Kind, ...] = ("average", "product", "linear", "mlp")
LEAST_LENGTH = 1e-6


@dataclass(frozen=True)
class ChildNetConfig:
    """Sizes; `keep_length` scales each token of the blend to the parents' mean length.

    A mean of two codes is shorter than they are, and its picture looks washed out.
    """

    kind: Kind = "linear"
    tokens: int = 9
    dim: int = 128
    refined: bool = True
    keep_length: bool = False
    layers: int = 2
    heads: int = 8
    feedforward: int = 1024
    dropout: float = 0.1
    spread: int = 96
    """Directions of people's codes that the network keeps, along which siblings differ."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {self.kind!r}")


def dominate(first: Tokens, second: Tokens, dominance: Tensor) -> tuple[Tokens, Tokens]:
    """Draw the weaker parent towards the stronger by |dominance| [batch, tokens], 1 = all of the first, -1 = all of the second.

    It works with every blender: at 1 both parents are the first. Exchanging the parents and the sign changes nothing.
    """
    towards = dominance[..., None]
    return torch.lerp(first, second, (-towards).clamp(min=0)), torch.lerp(second, first, towards.clamp(min=0))


def keep_length(child: Tokens, first: Tokens, second: Tokens) -> Tokens:
    """Scale each token to the parents' mean length."""
    wanted = (first.norm(dim=2, keepdim=True) + second.norm(dim=2, keepdim=True)) / 2
    return child * (wanted / child.norm(dim=2, keepdim=True).clamp(min=LEAST_LENGTH))


class ChildNet(nn.Module):
    """f(z1, z2): symmetric in the parents, for tokens of any codec; it keeps what is known of the codes it was trained on."""

    mean: Tensor
    deviation: Tensor
    spread: Tensor

    def __init__(self, config: ChildNetConfig) -> None:
        """Build; untrained it is the average (or the product)."""
        super().__init__()
        self.config = config
        blenders = {
            "average": Average,
            "product": Product,
            "linear": lambda: Linear(config.tokens, config.dim),
            "mlp": lambda: MLP(config.tokens, config.dim, 2 * config.dim),
        }
        self.blender = blenders[config.kind]()
        self.refiner = (
            Refiner(config.dim, config.layers, config.heads, config.feedforward, config.dropout)
            if config.refined
            else nn.Identity()
        )
        for name, value in (("mean", 0.0), ("deviation", 1.0)):
            self.register_buffer(name, torch.full((config.tokens, config.dim), value))
        self.register_buffer("spread", torch.zeros(config.spread, config.tokens, config.dim))

    @property
    def moments(self) -> Moments:
        """Return the moments by which the codes that it was trained on were standardized."""
        return Moments(self.mean, self.deviation)

    @torch.no_grad()
    def fit(self, raw: Tensor) -> None:
        """Take the moments of raw codes [rows, tokens, dim], and their standardized codes' first principal directions, scaled."""
        found = Moments.of(raw)
        self.mean.copy_(found.mean)
        self.deviation.copy_(found.deviation)
        codes = found.standardize(raw).flatten(1).double()
        values, axes = torch.linalg.eigh(codes.T @ codes / len(codes))
        kept = min(self.config.spread, len(raw) - 1, len(values))
        scaled = axes[:, -kept:].T * values[-kept:].clamp(min=0).sqrt()[:, None]
        self.spread[:kept] = scaled.float().unflatten(1, (self.config.tokens, self.config.dim))

    def forward(self, first: Tokens, second: Tokens, dominance: Tensor | None = None) -> Tokens:
        """Return the child of standardized tokens; `dominance` [batch, tokens] in [-1, 1] is 0 unless given."""
        if dominance is not None:
            first, second = dominate(first, second, dominance)
        child = self.blender(first, second)
        if self.config.keep_length:
            child = keep_length(child, first, second)
        return self.refiner(child)
