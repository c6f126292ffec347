"""Rows of the faces table as arrays and tensors: what training, extraction, generation and evaluation read."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from rupantara import schema
from rupantara.faces.balance import draw
from rupantara.imaging import codec
from rupantara.landmarks.regions import part_boxes
from rupantara.storage import tables
from rupantara.tensors import to_images as to_images
from rupantara.tensors import to_pictures as to_pictures

COLUMNS = ("face_id", "domain", "species", "identity", "image", "landmarks", "points", "split", "reject")


@dataclass(frozen=True)
class FaceArrays:
    """Pictures uint8 [n, size, size, 3] RGB, boxes [n, 6, 4] and the rows they came from."""

    rows: pa.Table
    pictures: np.ndarray
    boxes: np.ndarray

    def images(self) -> torch.Tensor:
        """Return the pictures as `Images`."""
        return to_images(self.pictures)

    def slice(self, start: int, count: int) -> "FaceArrays":
        """Return at most `count` faces from `start` on."""
        end = start + count
        return FaceArrays(self.rows.slice(start, count), self.pictures[start:end], self.boxes[start:end])


def load(rows: pa.Table, size: int) -> FaceArrays:
    """Decode accepted rows to `size` and find their part boxes."""
    pictures = np.empty((rows.num_rows, size, size, 3), np.uint8)
    boxes = np.empty((rows.num_rows, 6, 4), np.float32)
    for i, row in enumerate(rows.select(shown_columns(rows)).to_pylist()):
        picture = codec.decode_jpeg(row["image"])
        boxes[i] = boxes_of(row, picture.shape[0])
        pictures[i] = codec.resize(picture, size)
    return FaceArrays(rows, pictures, boxes)


def shown_columns(rows: pa.Table) -> list[str]:
    """Return which of a table's columns say how a face looks and where its parts are."""
    return [name for name in ("image", "landmarks", "domain", "points") if name in rows.column_names]


def boxes_of(row: Mapping[str, Any], size: int) -> np.ndarray:
    """Return the part boxes [6, 4] of a row of faces whose crop has side `size`."""
    landmarks = row["landmarks"]
    found = None if landmarks is None else np.array(landmarks, np.float32).reshape(68, 2)
    return part_boxes(found, row["domain"], size, schema.points_of(row))


def keypoints(rows: pa.Table, size: int) -> np.ndarray:
    """Return the five keypoints of accepted rows in pixels of pictures of side `size`, NaN where a row has none: float32 [n, 5, 2]."""
    sides = np.array([codec.read_size(image)[0] for image in rows["image"].to_pylist()], np.float32)
    points = schema.filled(rows["keypoints"], 5, 2)
    # Pixel centres are whole numbers on both scales.
    return ((points + 0.5) * (size / sides)[:, None, None] - 0.5).astype(np.float32)


def yaws(rows: pa.Table) -> np.ndarray:
    """Return the yaw of each row in degrees, NaN where it was not judged: float32 [n]."""
    found = [quality["yaw"] if quality else None for quality in rows["quality"].to_pylist()]
    return np.array([np.nan if yaw is None else yaw for yaw in found], np.float32)


def choose(uri: str, domain: str, split: str, most: int, seed: int) -> dict[str, str]:
    """Choose accepted faces of a domain ("" = any) and split ("" = any), at most `most` by hash (0 = all): id -> species."""
    table = schema.accepted(tables.read(uri, ("face_id", "domain", "species", "split", "reject"), schema="faces"))
    table = schema.where(table, **{c: v for c, v in (("domain", domain), ("split", split)) if v})
    ids, species = table["face_id"].to_pylist(), table["species"].to_pylist()
    return at_most(dict(zip(ids, species, strict=True)), most, seed)


def at_most(ids: Mapping[str, str], most: int, seed: int) -> dict[str, str]:
    """Keep at most `most` (0 = all), chosen and ordered by hash."""
    return dict(sorted(ids.items(), key=lambda row: draw(row[0], seed))[: most or None])


def choose_people(
    uri: str, domain: str, splits: Sequence[str], most: int, seed: int, among: Collection[str] | None = None
) -> dict[str, str]:
    """Choose one accepted face of each person or animal of some splits, at most `most` by hash (0 = all): id -> species.

    With `among` only of these ids.
    """
    columns = ("face_id", "domain", "species", "identity", "split", "reject")
    table = schema.where(schema.accepted(tables.read(uri, columns, schema="faces")), domain=domain)
    rows = [row for row in table.to_pylist() if row["split"] in splits and (among is None or row["face_id"] in among)]
    one = {row["identity"] or row["face_id"]: row for row in sorted(rows, key=lambda row: draw(row["face_id"], seed))}
    return at_most({row["face_id"]: row["species"] for row in one.values()}, most, seed)
