"""What a training loop needs of a model: the loop knows streams, epochs, resuming and reports; a task knows its network."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
from torch import Tensor, nn

from rupantara.training.state import TrainState
from rupantara.training.streams import Rows


class Validation(NamedTuple):
    """Metrics by name, and rows of pictures (uint8 [h, w, 3]) for the epoch's grid."""

    metrics: dict[str, float]
    pictures: list[list[np.ndarray]]


class Task(Protocol):
    """One network's training; all its randomness comes from torch's global generator, which the loop seeds each epoch."""

    state: TrainState[Any]

    def modules(self) -> dict[str, nn.Module]:
        """Return what the loop wraps for data-parallel training: modules whose forward ends in a loss."""
        ...

    def step(
        self, modules: Mapping[str, nn.Module], batches: Mapping[str, Rows], total_images: int
    ) -> dict[str, Tensor]:
        """Take one optimiser step on a batch of each training stream; return scalars, `loss` among them, on its device."""
        ...

    def validate(self, streams: Mapping[str, Iterable[Rows]]) -> Validation:
        """Measure the averaged weights on the validation streams, `val_` before each metric's name."""
        ...
