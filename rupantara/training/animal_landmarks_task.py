"""The training of `models.animal_landmarks` as a task: batches of marked photographs, varied anew each time they are shown."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from rupantara.models.animal_landmarks import SIDE, AnimalLandmarks, Maps
from rupantara.models.squeezenet import SqueezeNet
from rupantara.precision import in_bfloat16
from rupantara.training.animal_landmarks import MarkTargets, losses, stack, targets_of
from rupantara.training.animal_views import Marked, vary, warp
from rupantara.training.schedule import cosine
from rupantara.training.state import TrainState
from rupantara.training.task import Rows, Validation

STREAM = "photographs"


@dataclass(frozen=True)
class AnimalLandmarksObjective:
    """How the network is trained; what the job's flags set."""

    learning_rate: float = 1.5e-3
    """Largest learning rate of the pyramid and the heads; SqueezeNet's features learn at `body_rate` times it."""
    body_rate: float = 0.13
    """Share of the learning rate at which SqueezeNet's features learn."""
    weight_decay: float = 0.01
    """Weight decay of AdamW."""
    gradient_clip: float = 5.0
    """Largest norm of the gradient."""
    ema_decay: float = 0.99
    """Decay of the moving average of the weights, which is what is validated and kept."""


class AnimalLandmarksLoss(nn.Module):
    """The network with its losses as its output: what data-parallel training wraps."""

    def __init__(self, network: AnimalLandmarks) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, goal: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """Return the losses of a batch; the network runs in bfloat16 where that is fast."""
        with in_bfloat16(images.device.type):
            maps = self.network(images)
        return losses(Maps(*(m.float() for m in maps)), MarkTargets(*goal))


class LandmarksTask:
    """Batches of the stream `photographs` -> steps; rows are as `marks_of` takes them."""

    def __init__(
        self, objective: AnimalLandmarksObjective, device: torch.device, features: SqueezeNet | None = None
    ) -> None:
        """Start from SqueezeNet's features, or from random ones."""
        network = AnimalLandmarks()
        if features is not None:
            state = {name: value for name, value in features.state_dict().items() if not name.startswith("conv10")}
            network.body.load_state_dict(state)
        network = network.to(device=device, memory_format=torch.channels_last)  # ty: ignore[no-matching-overload]
        body = [p for name, p in network.named_parameters() if name.startswith("body.")]
        rest = [p for name, p in network.named_parameters() if not name.startswith("body.")]
        groups: list[dict[str, Any]] = [{"params": body, "scale": objective.body_rate}, {"params": rest}]
        self.state = TrainState.create(network, groups, weight_decay=objective.weight_decay)
        self._objective, self._device = objective, device

    def modules(self) -> dict[str, nn.Module]:
        """Return the network with its losses."""
        return {"network": AnimalLandmarksLoss(self.state.model)}

    def step(
        self, modules: Mapping[str, nn.Module], batches: Mapping[str, Rows], total_images: int
    ) -> dict[str, Tensor]:
        """Vary each photograph, compare what the network says of it, and step."""
        marks = marks_of(batches[STREAM])
        # The loop seeds torch's generator: a resumed training varies as the unbroken one.
        random = np.random.default_rng(int(torch.randint(2**31, ())))
        seen = [vary(mark, marks, random) for mark in marks]
        rate = cosine(self.state.seen, total_images, warm_up_images=max(total_images // 10, 1))
        self.state.set_rate(self._objective.learning_rate * rate)
        self.state.model.train()
        found = modules["network"](*self._batch(seen))
        o = self._objective
        self.state.descend(found["loss"], clip=o.gradient_clip, decay=o.ema_decay, images=len(marks))
        return {name: value.detach() for name, value in found.items()}

    @torch.no_grad()
    def validate(self, streams: Mapping[str, Iterable[Rows]]) -> Validation:
        """Measure the losses of photographs as they are, each head about half as large as the picture."""
        sums: dict[str, float] = {}
        count, pictures = 0, []
        judged = AnimalLandmarksLoss(self.state.average.eval())
        for rows in streams[STREAM]:
            marks = [warp(mark, centred(mark), SIDE, np.random.default_rng(0)) for mark in marks_of(rows)]
            found = judged(*self._batch([[mark] for mark in marks]))
            for name, value in found.items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(marks)
            count += len(marks)
            pictures += [[drawn(mark)] for mark in marks][: max(0, 8 - len(pictures))]
        return Validation({f"val_{name}": value / max(count, 1) for name, value in sums.items()}, pictures)

    def _batch(self, seen: list[list[Marked]]) -> tuple[Tensor, tuple[Tensor, ...]]:
        shown = np.stack([marks[0].picture for marks in seen])
        images = torch.from_numpy(shown).to(self._device).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
        goal = stack([targets_of(marks) for marks in seen])
        return images.contiguous(memory_format=torch.channels_last), tuple(t.to(self._device) for t in goal)


def marks_of(rows: Rows) -> list[Marked]:
    """Turn rows into marks.

    Columns: `image` uint8 [n, side, side, 3] with the photograph at its top left, `size` [n, 2] its height and width there,
    `points` float32 [n, 6, 2] px, NaN where hidden, `known` bool [n, 6], `view` int64 [n], `has_head` bool [n].
    """
    return [
        Marked(rows["image"][i][: size[0], : size[1]], rows["points"][i], rows["known"][i], int(view), bool(has))
        for i, (size, view, has) in enumerate(zip(rows["size"], rows["view"], rows["has_head"], strict=True))
    ]


def centred(mark: Marked) -> np.ndarray:
    """Return the transform [2, 3] that shows a photograph whole."""
    height, width = mark.picture.shape[:2]
    zoom = SIDE / max(height, width)
    return np.array([[zoom, 0, (SIDE - zoom * width) / 2], [0, zoom, (SIDE - zoom * height) / 2]])


def drawn(mark: Marked) -> np.ndarray:
    """Return a mark's picture with its points, for the epoch's grid."""
    picture = mark.picture.copy()
    for x, y in mark.points[np.isfinite(mark.points).all(axis=1)]:
        cv2.circle(picture, (round(float(x)), round(float(y))), 3, (255, 64, 64), -1)
    return picture
