"""People who do not exist: codes drawn by flow matching (Lipman et al., "Flow Matching for Generative Modeling", 2023).

A code is [global, five regions] in one row, standardised along the principal directions that move the picture most, so that a
standard normal is where the flow starts and what it has to bend is only what a Gaussian gets wrong. Most of that is scale: codes of sharp
pictures are two or three times as long as those of soft ones, in all their numbers at once. So the network sees how long a code is in
each of BANDS bands, and may stretch each band. Age, sex and group may be
given or left open (classifier-free guidance, Ho and Salimans, 2022: each is dropped at random in training).
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

AGES = (0, 3, 10, 18, 30, 45, 60, 75)
"""Lower ends of the age classes, years."""
NUM_SEXES, NUM_GROUPS = 2, 5
COUNTS = (len(AGES), NUM_SEXES, NUM_GROUPS)
OPEN = -1
"""A condition that is not given."""

BANDS = 8
"""Bands of a reduced code, from the directions that move the picture most to those that move it least."""

FREQUENCIES = 16
"""Sines and cosines of the time."""

LEAST = 1e-2
"""Added to a band's mean square before its logarithm."""

Rows = Float[Tensor, "batch dim"]
Conditions = Int[Tensor, "batch 3"]
"""Age class, sex, group; OPEN where left open."""


@dataclass(frozen=True)
class FlowPriorConfig:
    """Sizes: `dim` numbers of the reduced code, `width` and `blocks` of the velocity's network."""

    dim: int = 384
    width: int = 384
    blocks: int = 4
    embedding: int = 96
    dropout: float = 0.1


class Block(nn.Module):
    """Residual block; time and conditions scale and shift what it sees (FiLM)."""

    def __init__(self, width: int, embedding: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.film = nn.Linear(embedding, 2 * width)
        self.up, self.down = nn.Linear(width, width), nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.down.weight)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Return [batch, width]."""
        scale, shift = self.film(condition).chunk(2, dim=1)
        h = torch.nn.functional.silu(self.up(self.norm(x) * (1 + scale) + shift))
        return x + self.down(self.dropout(h))


class FlowPrior(nn.Module):
    """Velocity v(x, t | age, sex, group) of reduced codes, and the map back to whole ones.

    `mean` [rows] and `directions` [dim, rows] carry a reduced code to a whole one: row = mean + x @ directions.
    """

    mean: Tensor
    directions: Tensor
    importance: Tensor
    boxes: Tensor

    def __init__(self, config: FlowPriorConfig, code_dim: int) -> None:
        """Build with random weights and directions of zero; `importance` [dim] weighs coordinates in the loss."""
        super().__init__()
        self.config = config
        self.into, self.out = nn.Linear(config.dim, config.width), nn.Linear(config.width, config.dim)
        self.bands = min(BANDS, config.dim)
        self.lengths = nn.Linear(self.bands, config.embedding)
        self.stretch = nn.Linear(config.width, self.bands)
        self.time = nn.Sequential(
            nn.Linear(2 * FREQUENCIES, config.embedding), nn.SiLU(), nn.Linear(config.embedding, config.embedding)
        )
        self.tables = nn.ModuleList(nn.Embedding(count + 1, config.embedding) for count in COUNTS)
        self.blocks = nn.ModuleList(Block(config.width, config.embedding, config.dropout) for _ in range(config.blocks))
        for layer in (self.out, self.stretch):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.register_buffer("mean", torch.zeros(code_dim))
        self.register_buffer("directions", torch.zeros(config.dim, code_dim))
        self.register_buffer("importance", torch.ones(config.dim))
        self.register_buffer("boxes", torch.zeros(6, 4))

    def forward(self, x: Rows, t: Float[Tensor, " batch"], conditions: Conditions) -> Rows:
        """Return the velocity at x and time t, 0 noise to 1 codes; starts as the exact one of a standard normal."""
        embedded = self.time(waves(t))
        for table, column in zip(self.tables, conditions.unbind(1), strict=True):
            embedded = embedded + table(column + 1)
        bands = x.tensor_split(self.bands, dim=1)
        lengths = torch.stack([band.square().mean(1) for band in bands], dim=1)
        embedded = embedded + self.lengths((lengths + LEAST).log())
        h = self.into(x)
        for block in self.blocks:
            h = block(h, embedded)
        stretched = [band * by for band, by in zip(bands, self.stretch(h).split(1, dim=1), strict=True)]
        return self.out(h) + torch.cat(stretched, dim=1) + normal_velocity(x, t)

    def reduced(self, rows: Float[Tensor, "batch rows"]) -> Rows:
        """Return whole codes' coordinates: least squares on the directions."""
        gram = self.directions @ self.directions.T
        return torch.linalg.solve(gram, self.directions @ (rows - self.mean).T).T

    @torch.inference_mode()
    def sample(
        self, noise: Rows, conditions: Conditions, *, steps: int = 24, guidance: float = 1.0
    ) -> Float[Tensor, "batch rows"]:
        """Carry noise [batch, dim] to whole codes by Heun's method; `guidance` above 1 exaggerates the conditions."""
        x, times = noise, torch.linspace(0, 1, steps + 1, device=noise.device)
        for now, then in pairwise(times):
            first = self.guided(x, now, conditions, guidance)
            second = self.guided(x + (then - now) * first, then, conditions, guidance)
            x = x + (then - now) * (first + second) / 2
        return self.mean + x @ self.directions

    def guided(self, x: Rows, t: Tensor, conditions: Conditions, guidance: float) -> Rows:
        """Return the velocity, `guidance` times as far from the one without conditions."""
        at = t.expand(len(x))
        velocity = self(x, at, conditions)
        if guidance == 1.0 or bool((conditions == OPEN).all()):
            return velocity
        free = self(x, at, torch.full_like(conditions, OPEN))
        return free + guidance * (velocity - free)


def waves(t: Float[Tensor, " batch"]) -> Float[Tensor, "batch waves"]:
    """Return sines and cosines of a time at FREQUENCIES scales."""
    phase = t[:, None] * torch.pi * torch.arange(1, FREQUENCIES + 1, device=t.device)
    return torch.cat([phase.sin(), phase.cos()], dim=1)


def normal_velocity(x: Rows, t: Float[Tensor, " batch"]) -> Rows:
    """Return E[x1 - x0 | x_t] where both ends are standard normal: ((2t - 1) / (t² + (1 - t)²)) x, for straight paths (eq. 20-23)."""
    t = t[:, None]
    return x * (2 * t - 1) / (t * t + (1 - t) * (1 - t))


def age_class(years: int) -> int:
    """Return the class of an age in years."""
    if years < 0:
        raise ValueError(f"an age must be at least 0 years, got {years}")
    return sum(years >= low for low in AGES) - 1
