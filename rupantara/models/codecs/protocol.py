"""What a latent codec is: pictures to standardized tokens (batch, tokens, dim) and back, whatever network does it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from rupantara.errors import UserError
from rupantara.tensors import Images, PartBoxes, Tokens

LEAST_DEVIATION = 0.02
"""Of a code's number over many people: below it the number says nothing of the face (the network does not use it), and is left out."""


@dataclass(frozen=True)
class CodeLayout:
    """How a codec lays out its codes: `groups` names sets of tokens (regions, or levels coarse to fine) that dominance may weigh."""

    codec: str
    tokens: int
    dim: int
    groups: Mapping[str, tuple[int, ...]]

    def demand(self, tokens: Tensor) -> None:
        """Raise UserError for codes of another shape, or numbers that are not finite."""
        if tuple(tokens.shape[-2:]) != (self.tokens, self.dim):
            raise UserError(
                f"tokens must be of {self.codec}, [{self.tokens}, {self.dim}], got {list(tokens.shape[-2:])}: another codec's?"
            )
        if not torch.isfinite(tokens).all():
            raise UserError(f"tokens of {self.codec} must be finite numbers")

    def weigh(self, dominance: float | Mapping[str, float]) -> Tensor:
        """Return the dominance of each token [tokens] in [-1, 1] of one number, or of numbers by group (0 where none is given)."""
        by_group = dict.fromkeys(self.groups, dominance) if isinstance(dominance, int | float) else dict(dominance)
        if unknown := sorted(set(by_group) - set(self.groups)):
            raise UserError(f"dominance must be of {', '.join(self.groups)}, got {unknown[0]!r}")
        out = torch.zeros(self.tokens)
        for group, value in by_group.items():
            if not -1 <= value <= 1:
                raise UserError(f"dominance must be in [-1, 1], got {value:g}")
            out[list(self.groups[group])] = float(value)
        return out


@dataclass(frozen=True)
class Moments:
    """Means and deviations [tokens, dim] of a codec's raw codes over many people, stored with what was trained on them."""

    mean: Tensor
    deviation: Tensor

    @property
    def live(self) -> Tensor:
        """Return which numbers say anything of a face: bool [tokens, dim]."""
        return self.deviation > LEAST_DEVIATION

    def standardize(self, raw: Tensor) -> Tokens:
        """Return codes of mean 0 and deviation 1; numbers that say nothing become 0."""
        return torch.where(self.live.to(raw.device), (raw - self.mean.to(raw)) / self.deviation.to(raw), 0.0)

    def restore(self, tokens: Tokens) -> Tensor:
        """Return raw codes; numbers that say nothing become their means."""
        scaled = torch.where(self.live.to(tokens.device), tokens * self.deviation.to(tokens), 0.0)
        return scaled + self.mean.to(tokens)

    @staticmethod
    def of(raw: Tensor) -> "Moments":
        """Take the moments of raw codes [rows, tokens, dim]; ValueError for fewer than 2 rows."""
        if len(raw) < 2:
            raise ValueError(f"moments need at least 2 rows, got {len(raw)}")
        return Moments(raw.double().mean(0).float(), raw.double().std(0).float())


class LatentCodec(Protocol):
    """Encodes aligned pictures of its `side` to standardized tokens, and decodes them.

    `keypoints` are where the five keypoints lie in its pictures, as fractions; `sha256` names the networks behind it,
    `codes_sha256` those that make its codes.
    """

    layout: CodeLayout
    moments: Moments
    side: int
    sha256: str
    codes_sha256: str
    keypoints: tuple[tuple[float, float], ...]

    def to(self, device: torch.device) -> "LatentCodec":
        """Move its networks to a device."""
        ...

    def encode(self, images: Images, boxes: PartBoxes) -> Tokens:
        """Encode pictures; codecs without regions have no use for the boxes."""
        ...

    def decode(self, tokens: Tokens, boxes: PartBoxes) -> Images:
        """Decode tokens, with gradients to them."""
        ...

    def surround(self, tokens: Tokens, place: Tokens) -> Tokens:
        """Return codes of the faces of `tokens` with the hair, clothes, background and light of `place`; on itself nothing changes."""
        ...
