"""A child's network as a `training.task.Task`: rows of tokens of the stream `face` in, steps and validation out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rupantara.losses.identity import Embed
from rupantara.metrics.class_score import ClassStats
from rupantara.metrics.frechet import GaussianStats, frechet_distance
from rupantara.models.blenders import ChildNet
from rupantara.models.codecs import LatentCodec
from rupantara.models.feature_nets import squeezenet_rows
from rupantara.models.squeezenet import SqueezeNet
from rupantara.tensors import to_pictures
from rupantara.training import blender as steps
from rupantara.training.blender import BlenderLosses, BlenderObjective, CodeReader, Parents, picture_vectors
from rupantara.training.pairs import Rule, allowed, draw_pairs
from rupantara.training.task import Rows, Validation

STREAM = "face"
SHOWN = 6
"""Families on an epoch's sheet: a column each of first parent, second parent, child."""

COLUMNS = ("tokens", "boxes", "vector", "person", "sex", "age", "group")
"""Of a row: raw tokens [tokens, dim], boxes [6, 4], the photograph's identity vector, a number for the person, and what its path says."""


@dataclass(frozen=True)
class BlenderNetworks:
    """Frozen networks: the losses' identity, and the classes and features that validation reports."""

    embed: Embed | None = None
    squeezenet: SqueezeNet | None = None
    reader: CodeReader | None = None


class BlenderTask:
    """Trains on pairs out of batches of the stream `face`; validates on pairs of its other people, the same at each epoch."""

    def __init__(
        self,
        model: ChildNet,
        objective: BlenderObjective,
        codec: LatentCodec,
        judging: BlenderNetworks,
        rule: Rule,
        device: torch.device,
    ) -> None:
        """Take a network at its start."""
        self.state: steps.TrainState[Any] = steps.start(model.to(device), objective)
        self._objective, self._codec, self._judging = objective, codec, judging
        self._rule: Rule = rule
        self._device = device

    def modules(self) -> dict[str, nn.Module]:
        """Return the losses."""
        judging = self._judging
        losses = BlenderLosses(self.state.model, self._codec, self._objective, judging.embed, judging.reader)
        return {"losses": losses}

    def step(
        self, modules: Mapping[str, nn.Module], batches: Mapping[str, Rows], total_images: int
    ) -> dict[str, Tensor]:
        """Pair a batch off by the rule, and take one step."""
        rows = batches[STREAM]
        parents = self._pairs(rows, len(rows["tokens"]) // 2)
        return steps.train_step(self.state, self._objective, modules["losses"], parents, total_images)

    def _pairs(self, rows: Rows, count: int, generator: torch.Generator | None = None) -> Parents:
        columns = {name: torch.from_numpy(np.array(rows[name])) for name in COLUMNS if name in rows}
        fits = allowed(self._rule, *(columns[name] for name in ("person", "sex", "age", "group")))
        first, second = draw_pairs(fits, count, generator)
        tokens = self._codec.moments.standardize(columns["tokens"].float())
        both = (first, second)
        vectors = [columns["vector"][one].to(self._device) for one in both] if "vector" in columns else None
        return Parents(
            (tokens[first].to(self._device), tokens[second].to(self._device)),
            (columns["boxes"][first].to(self._device), columns["boxes"][second].to(self._device)),
            (vectors[0], vectors[1]) if vectors else None,
        )

    @torch.inference_mode()
    def validate(self, streams: Mapping[str, Iterable[Rows]]) -> Validation:
        """Make children of held-out pairs and measure them: identity to both parents and to permuted ones, Fréchet, classes, KL.

        Fréchet distances are between children and decoded parents, by SqueezeNet's features, of as many pictures as children.
        """
        sums: dict[str, list[Tensor]] = {}
        real: GaussianStats | None = None
        made: GaussianStats | None = None
        classes: ClassStats | None = None
        pictures: list[list[np.ndarray]] = []
        generator = torch.Generator().manual_seed(0)
        for rows in streams[STREAM]:
            if len(rows["tokens"]) < 4:
                continue
            parents = self._pairs(rows, len(rows["tokens"]) // 2, generator)
            first, second = parents.tokens
            child = self.state.average(first, second)
            decoded = self._codec.decode(child, (parents.boxes[0] + parents.boxes[1]) / 2)
            of_parents = [self._codec.decode(z, b) for z, b in zip(parents.tokens, parents.boxes, strict=True)]
            _collect(sums, {"smooth": steps.departure(child, first, second, 0.5), "child": child})
            if self._judging.embed is not None:
                vectors = [picture_vectors(self._codec, self._judging.embed, x) for x in (decoded, *of_parents)]
                wanted = parents.vectors if self._objective.parents == "photograph" and parents.vectors else vectors[1:]
                _collect(sums, _likeness(vectors[0], wanted[0].float(), wanted[1].float()))
            if self._judging.squeezenet is not None:
                net = self._judging.squeezenet
                mine, theirs = (
                    GaussianStats.update(squeezenet_rows(net, x).float().cpu().numpy())
                    for x in (decoded, of_parents[0])
                )
                made, real = made.merge(mine) if made else mine, real.merge(theirs) if real else theirs
                score = ClassStats.update(
                    net(F.interpolate(decoded, (227, 227), mode="bilinear")).float().cpu().numpy()
                )
                classes = classes.merge(score) if classes else score
            if not pictures:
                shown = [to_pictures(x[:SHOWN]) for x in (*of_parents, decoded)]
                pictures = [list(row) for row in shown]
        found = {name: float(torch.cat(parts).mean()) for name, parts in sums.items() if name != "child"}
        found["kl"] = float(steps.normality(torch.cat(sums["child"]), self._codec.moments.live.to(self._device)))
        if made and real and classes and min(made.count, real.count) > 1:
            found |= {"frechet_squeezenet": frechet_distance(made, real), "class_score_squeezenet": classes.compute()}
        return Validation({f"val_{STREAM}_{name}": value for name, value in found.items()}, pictures)


def _collect(sums: dict[str, list[Tensor]], found: Mapping[str, Tensor]) -> None:
    for name, value in found.items():
        sums.setdefault(name, []).append(value)


def _likeness(child: Tensor, first: Tensor, second: Tensor) -> dict[str, Tensor]:
    """Return cosines of each child [n]: with either parent, the worse of both, and with the parents of the next child."""
    own = [F.cosine_similarity(child, one, dim=1) for one in (first, second)]
    null = [F.cosine_similarity(child, one.roll(1, 0), dim=1) for one in (first, second)]
    return {
        "identity_mean": (own[0] + own[1]) / 2,
        "identity_worse": torch.minimum(*own),
        "identity_permuted": (null[0] + null[1]) / 2,
    }
