"""What an extractor is given and gives: its options, where it loads from, faces decoded once, and columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa

from rupantara import schema
from rupantara.imaging import codec
from rupantara.landmarks.regions import part_boxes
from rupantara.types import Landmarks, Picture


@dataclass(frozen=True)
class Spec:
    """One extractor as the command line names it: `NAME[:OPTION=VALUE]…`."""

    name: str
    batch_size: int = 32
    precision: str = "fp32"
    store: str = "float32"
    seed: int = 0
    size: int = 224


@dataclass(frozen=True)
class ExtractorNetworks:
    """Where extractors load from, and what they compute on ("cpu" or "cuda").

    `mean_landmarks` are the 136 numbers of the train split's mean face, px of `landmarks.texture.SIDE`; textures need them.
    """

    checkpoint: str = ""
    weights: str = ""
    device: str = "cpu"
    mean_landmarks: tuple[float, ...] = ()


@dataclass(frozen=True)
class FaceBatch:
    """Faces decoded once for all extractors; `keypoints` [n, 5, 2] (NaN = none) and `landmarks` are in pixels of the pictures."""

    pictures: list[Picture]
    keypoints: np.ndarray
    boxes: np.ndarray
    domains: list[str]
    landmarks: list[Landmarks | None]

    def take(self, rows: Sequence[int]) -> "FaceBatch":
        """Return some of the faces."""
        parts = ([self.pictures[i] for i in rows], self.keypoints[list(rows)], self.boxes[list(rows)])
        return FaceBatch(*parts, [self.domains[i] for i in rows], [self.landmarks[i] for i in rows])

    def at(self, size: int) -> np.ndarray:
        """Return the pictures at one size, uint8 [n, size, size, 3]."""
        return np.stack([codec.resize(picture, size) for picture in self.pictures])


def decode(rows: pa.Table) -> FaceBatch:
    """Decode accepted rows of the faces table."""
    pictures = [codec.decode_jpeg(image) for image in rows["image"].to_pylist()]
    points = [None if p is None else np.array(p, np.float32).reshape(68, 2) for p in rows["landmarks"].to_pylist()]
    domains = rows["domain"].to_pylist()
    named = rows["points"].to_pylist() if "points" in rows.column_names else [None] * len(domains)
    six = [schema.points_of({"points": p}) for p in named]
    sides = [picture.shape[0] for picture in pictures]
    boxes = [part_boxes(p, d, s, q) for p, d, s, q in zip(points, domains, sides, six, strict=True)]
    return FaceBatch(pictures, schema.filled(rows["keypoints"], 5, 2), np.array(boxes), domains, points)


class Extractor(Protocol):
    """`columns` describes what a call returns, one array [n, …] a column (of objects, bytes or None, for a binary one).

    Faces of other domains get nulls, and so does a row that is None or all NaN.
    """

    columns: list[pa.Field]
    domains: tuple[str, ...]

    def __call__(self, faces: FaceBatch) -> list[np.ndarray]:
        """Return the vectors of one batch."""
        ...
