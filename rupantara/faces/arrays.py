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
from rupantara.storage import manifest, tables
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
    return _scaled(rows, schema.filled(rows["keypoints"], 5, 2), size)


def landmarks(rows: pa.Table, size: int) -> np.ndarray:
    """Return the 68 points of accepted rows in pixels of pictures of side `size`, NaN where a row has none: float32 [n, 68, 2]."""
    return _scaled(rows, schema.filled(rows["landmarks"], 68, 2), size)


def animal_points(rows: pa.Table, size: int) -> np.ndarray:
    """Return the six points of animals in pixels of pictures of side `size`, NaN where a row has none: float32 [n, 6, 2]."""
    if "points" not in rows.column_names:
        return np.full((rows.num_rows, 6, 2), np.nan, np.float32)
    unknown = np.full((6, 2), np.nan, np.float32)
    found = [schema.points_of(row) for row in rows.select(["points"]).to_pylist()]
    points = np.array([unknown if one is None else one for one in found], np.float32).reshape(-1, 6, 2)
    return _scaled(rows, points, size)


def _scaled(rows: pa.Table, points: np.ndarray, size: int) -> np.ndarray:
    """Carry points [n, k, 2] in pixels of each row's picture to pictures of side `size`."""
    sides = np.array([codec.read_size(image)[0] for image in rows["image"].to_pylist()], np.float32)
    # Pixel centres are whole numbers on both scales.
    return ((points + 0.5) * (size / sides)[:, None, None] - 0.5).astype(np.float32)


def yaws(rows: pa.Table) -> np.ndarray:
    """Return the yaw of each row in degrees, NaN where it was not judged: float32 [n]."""
    found = [quality["yaw"] if quality else None for quality in rows["quality"].to_pylist()]
    return np.array([np.nan if yaw is None else yaw for yaw in found], np.float32)


def choose(uri: str, domain: str, split: str, most: int, seed: int) -> dict[str, str]:
    """Choose accepted faces of a domain ("" = any) and split ("" = any), at most `most` by hash (0 = all): id -> species."""
    found: dict[str, str] = {}
    wanted = {c: v for c, v in (("domain", domain), ("split", split)) if v}
    for part in tables.read_parts(uri, ("face_id", "domain", "species", "split", "reject"), schema="faces"):
        rows = schema.where(schema.accepted(part), **wanted)
        found |= zip(rows["face_id"].to_pylist(), rows["species"].to_pylist(), strict=True)
        if most and len(found) > 4 * most:
            found = at_most(found, most, seed)
    return at_most(found, most, seed)


def at_most(ids: Mapping[str, str], most: int, seed: int) -> dict[str, str]:
    """Keep at most `most` (0 = all), chosen and ordered by hash."""
    return dict(sorted(ids.items(), key=lambda row: draw(row[0], seed))[: most or None])


def choose_people(
    uri: str, domain: str, splits: Sequence[str], most: int, seed: int, among: Collection[str] | None = None
) -> dict[str, str]:
    """Choose one accepted face of each person or animal of some splits, at most `most` by hash (0 = all): id -> species.

    A person's face is the one of their highest draw. With `among` only of these ids.
    """
    accepted = max(1, int(manifest.require(uri, "faces").counts["accepted"]))
    share = 4 * most / accepted if most else 1.0
    while True:
        found = _people_below(uri, domain, splits, min(1.0, share), seed, among)
        # Whoever has a face of a higher draw is behind all that were found.
        if share >= 1 or len(found) >= most:
            return at_most(found, most, seed)
        share *= 8


def _people_below(
    uri: str, domain: str, splits: Sequence[str], share: float, seed: int, among: Collection[str] | None
) -> dict[str, str]:
    """Return the face of each person all of whose faces have draws of at most `share`: id -> species. Few are held at a time."""
    found: dict[str, tuple[float, str, str]] = {}
    columns = ("face_id", "domain", "species", "identity", "split", "reject")
    for beyond in (False, True) if share < 1 else (False,):
        for part in tables.read_parts(uri, columns, schema="faces"):
            for row in schema.where(schema.accepted(part), domain=domain).to_pylist():
                name = row["face_id"]
                if row["split"] not in splits or (among is not None and name not in among):
                    continue
                drawn, person = draw(name, seed), row["identity"] or name
                if beyond and drawn > share:
                    found.pop(person, None)
                elif not beyond and drawn <= share:
                    found[person] = max(found.get(person, (-1.0, "", "")), (drawn, name, row["species"]))
    return {name: species for _, name, species in found.values()}
