"""What an evaluation is made of: held-out faces, methods under test that answer with pictures, and a trial that brings both.

Every evaluation goes the same way: `stages.measure.MeasureMethods` asks a `Trial` for batches of held-out faces, shows each to every
`Method`, and measures what comes back (`evaluation.measure`) into rows of one table, `schema.METRICS`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa
from torch import Tensor

from rupantara.tensors import Images, PointSets
from rupantara.types import Picture

SOURCE = "source"
"""Method and kind of the held-out face itself."""

COMPARED = frozenset({"reconstruction", "inversion"})
"""Kinds of pictures that should look like the face itself: their errors are measured."""


@dataclass(frozen=True)
class Held:
    """A batch of held-out faces: their rows (`face_id`, `domain`, `species`), and what is known of each.

    `images` are the faces themselves (None where there is none to compare with); `keypoints` [n, 5, 2] are in pixels of them;
    `landmarks` [n, 68, 2] in pixels of `landmarks.texture.SIDE`; `boxes` [n, 6, 4]; `vectors` [n, dim]. `new` are the rows whose
    face was in no batch before (None = all).
    """

    rows: pa.Table
    images: Images | None
    keypoints: Tensor | None = None
    landmarks: Tensor | None = None
    boxes: Tensor | None = None
    vectors: Tensor | None = None
    new: Sequence[int] | None = None

    @property
    def ids(self) -> list[str]:
        """Return the face ids."""
        return self.rows["face_id"].to_pylist()


@dataclass(frozen=True)
class Made:
    """What a method made of some faces of a batch (`rows`; None = all): a picture each.

    `points` are the landmarks that it tells, px of `landmarks.texture.SIDE`; `told` are columns of `schema.METRICS` that it measures
    itself. Where it made several pictures of a face, `images` is None and `strips` show them side by side.
    """

    images: Images | None
    kind: str = "reconstruction"
    mode: str = ""
    rows: Sequence[int] | None = None
    points: PointSets | None = None
    told: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    strips: Sequence[Picture] | None = None


class Method(Protocol):
    """A method under test: a model, a baseline, or pictures that were made before."""

    def make(self, held: Held) -> Iterable[Made]:
        """Answer for a batch of held-out faces."""
        ...


class Trial(Protocol):
    """An evaluation: how it reads held-out faces, and the methods; loads what it needs when it is built, on the worker."""

    methods: Mapping[str, Method]

    def batches(self, rows: pa.Table) -> Iterator[Held]:
        """Yield the chosen faces of a part of its table, some at a time."""
        ...


class PictureMeasure(Protocol):
    """An extra measure that only some evaluations use: sources and pictures in, columns of `schema.METRICS` out, a value a picture."""

    def __call__(self, held: Held, made: Made) -> Mapping[str, Sequence[Any]]:
        """Measure each picture of an answer."""
        ...
