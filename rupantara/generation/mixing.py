"""Mixing a human's region codes with those of animals (*Rupantara*, III.D): along a line, or along the great circle."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from rupantara.errors import UserError
from rupantara.landmarks.regions import REGIONS
from rupantara.tensors import RegionCodes

Path = Literal["linear", "spherical"]
"""Way between two codes: linear, or spherical (direction along the great circle, length linearly)."""


def check_amounts(amounts: Mapping[str, float]) -> None:
    """Raise UserError for unknown regions, for none at all, and for amounts outside [0, 1]."""
    unknown = [region for region in amounts if region not in REGIONS]
    if unknown or not amounts:
        raise UserError(f"regions must be of {', '.join(REGIONS)}, got {', '.join(map(str, unknown)) or 'none'}")
    for region, amount in amounts.items():
        if not 0 <= amount <= 1:
            raise UserError(f"amount of {region} must be in [0, 1], got {amount}")


def amount_row(amounts: Mapping[str, float]) -> Tensor:
    """Return the amounts of the five regions, 0 for those that are not mixed: float32 [5]."""
    return torch.tensor([amounts.get(region, 0.0) for region in REGIONS], dtype=torch.float32)


def mix(human: RegionCodes, animal: RegionCodes, amounts: Tensor, path: Path = "linear") -> RegionCodes:
    """Carry region codes [n, 5, dim] towards the animal's by amounts [n, 5]: 0 gives the human's, 1 the animal's, to the bit."""
    share = amounts.to(human)[:, :, None]
    between = (slerp if path == "spherical" else torch.lerp)(human, animal, share.expand_as(human))
    return torch.where(share == 0, human, torch.where(share == 1, animal, between))


LEAST_LENGTH = 1e-12
"""A shorter vector has no direction."""


def slerp(a: torch.Tensor, b: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Interpolate vectors [..., dim] spherically (Shoemake, 1985): the direction along the great circle, the length linearly.

    Nearly parallel or opposite vectors, and zero ones, which have no great circle, are interpolated linearly.
    """
    lengths = [v.norm(dim=-1, keepdim=True) for v in (a, b)]
    ua, ub = (v / n.clamp(min=LEAST_LENGTH) for v, n in zip((a, b), lengths, strict=True))
    angle = (ua * ub).sum(-1, keepdim=True).clamp(-1, 1).arccos()
    sine = angle.sin()
    arc = (((1 - weight) * angle).sin() * ua + (weight * angle).sin() * ub) / sine.clamp(min=1e-6)
    curved = torch.lerp(*(n.expand_as(a) for n in lengths), weight) * arc
    straight = (sine < 1e-3) | (torch.minimum(*lengths) < LEAST_LENGTH)
    return torch.where(straight, torch.lerp(a, b, weight), curved)
