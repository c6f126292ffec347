"""Edits of faces in a codec's space: how codes move with age, sex or a smile, and where a face stands on that way."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rupantara.errors import UserError
from rupantara.models.codecs import LatentCodec
from rupantara.storage import checkpoints
from rupantara.tensors import PartBoxes, Tokens

MODEL_TYPE = "edits"
"""Schema name of the checkpoint's manifest, and `model_type` of its config.json."""

BOX_EMPHASIS = 1.5
"""How many times the mean change of the regions' boxes an edit moves them: with large eyes and a high chin a child is a child."""

LEAST_SIDE = 0.06
"""Shortest side of a moved box, as `landmarks.regions` has it."""


@dataclass(frozen=True)
class EditPath:
    """The mean standardized code [knots, tokens, dim] and boxes [knots, 6, 4] at some values of an attribute, and a readout of the value.

    Between knots the path is straight. An edit adds the path's change from where the face stands to where it should, `emphasis`
    times: each face has of an age what the mean face has not. All else of the face is kept. `readout` [tokens, dim] and `bias`
    tell where it stands.
    """

    name: str
    knots: Tensor
    codes: Tensor
    boxes: Tensor
    readout: Tensor
    bias: float
    emphasis: float = 1.0

    @property
    def ends(self) -> tuple[float, float]:
        """Return the least and the greatest value."""
        return float(self.knots[0]), float(self.knots[-1])

    def read(self, tokens: Tokens) -> Tensor:
        """Return the attribute's value of each face [batch], within the path's ends."""
        return ((tokens * self.readout.to(tokens)).sum((1, 2)) + self.bias).clamp(*self.ends)

    def at(self, values: Tensor, rows: Tensor) -> Tensor:
        """Return what `rows` [knots, ...], codes or boxes, are at values [batch]; beyond the path's ends the end's."""
        knots, rows = self.knots.to(values), rows.to(values)
        place = torch.searchsorted(knots, values.contiguous()).clamp(1, len(knots) - 1)
        share = ((values - knots[place - 1]) / (knots[place] - knots[place - 1])).clamp(0, 1)
        return torch.lerp(rows[place - 1], rows[place], share[:, None, None])

    def move(
        self, tokens: Tokens, boxes: PartBoxes, start: Tensor, goal: Tensor, emphasis: float | None = None
    ) -> tuple[Tokens, PartBoxes]:
        """Move faces from values `start` to `goal` [batch]; where they are equal nothing changes."""
        times = self.emphasis if emphasis is None else emphasis
        tokens = tokens + times * (self.at(goal, self.codes) - self.at(start, self.codes))
        moved = boxes + min(times, BOX_EMPHASIS) * (self.at(goal, self.boxes) - self.at(start, self.boxes))
        low = moved[..., :2].clamp(0, 1 - LEAST_SIDE)
        return tokens, torch.cat([low, torch.maximum(moved[..., 2:].clamp(max=1), low + LEAST_SIDE)], dim=-1)

    def goal(self, start: Tensor, change: float | None, value: float | None) -> Tensor:
        """Return where faces that stand at `start` [batch] go: a change from there, or a value; UserError for one beyond the path."""
        low, high = self.ends
        if value is None:
            return (start + (change or 0.0)).clamp(low, high)
        if not low <= value <= high:
            raise UserError(f"{self.name} must be from {low:g} to {high:g}, got {value:g}")
        return torch.full_like(start, value)


@dataclass(frozen=True)
class Edits:
    """Paths by name, the SHA-256 of their checkpoint, and the codec whose codes they move."""

    paths: Mapping[str, EditPath]
    sha256: str
    codec: str
    codec_sha256: str

    def path(self, name: str) -> EditPath:
        """Return a path; UserError for a name that there is not."""
        if name not in self.paths:
            raise UserError(f"edits must be of {', '.join(self.paths)}, got {name!r}")
        return self.paths[name]

    def demand(self, codec: LatentCodec) -> None:
        """Raise UserError where the edits are of another codec's codes."""
        if (self.codec, self.codec_sha256) != (codec.layout.codec, codec.codes_sha256):
            raise UserError(
                f"edits must be of the codec's own codes, {codec.layout.codec} {codec.codes_sha256[:12]}, got {self.codec}"
                f" {self.codec_sha256[:12]}: train them on its features"
            )


def parse(text: str) -> tuple[str, float]:
    """Read `age=-20`; UserError for anything else."""
    name, sign, value = text.partition("=")
    try:
        return name.strip(), float(value if sign else "")
    except ValueError:
        raise UserError(f"an edit must be NAME=CHANGE, as age=-20, got {text!r}") from None


def tensors_of(paths: Mapping[str, EditPath]) -> dict[str, Tensor]:
    """Return what a checkpoint holds; codes and readouts in half precision."""
    out = {}
    for name, path in paths.items():
        out |= {f"{name}.knots": path.knots.float(), f"{name}.boxes": path.boxes.float()}
        out |= {f"{name}.codes": path.codes.half(), f"{name}.readout": path.readout.half()}
        out[f"{name}.line"] = torch.tensor([path.bias, path.emphasis])
    return out


def load(uri: str) -> Edits:
    """Load a complete checkpoint of edits."""
    found = checkpoints.read(uri, MODEL_TYPE)
    config: dict[str, Any] = found.config

    def make() -> Edits:
        tensors, paths = found.tensors, {}
        for name in config["edits"]:
            parts = [tensors[f"{name}.{part}"].float() for part in ("knots", "codes", "boxes", "readout")]
            bias, emphasis = tensors[f"{name}.line"].tolist()
            paths[name] = EditPath(name, *parts, bias, emphasis)
        return Edits(paths, found.sha256, config["codec"], config["codec_sha256"])

    return checkpoints.parse(uri, make)


def config_dict(codec: str, codec_sha256: str, measured: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Return the content of config.json; `measured` is what was found of each edit on held-out faces."""
    return json.loads(
        json.dumps({"model_type": MODEL_TYPE, "codec": codec, "codec_sha256": codec_sha256, "edits": measured})
    )
