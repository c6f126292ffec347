"""Rows of the faces table as arrays and tensors: what training, extraction, generation and evaluation read."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch

from rupantara import schema
from rupantara.faces.balance import draw
from rupantara.imaging import codec
from rupantara.landmarks.regions import part_boxes
from rupantara.storage import tables

COLUMNS = ("face_id", "domain", "species", "identity", "image", "landmarks", "split", "reject")


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


def to_images(pictures: np.ndarray) -> torch.Tensor:
    """Turn uint8 RGB [n, h, w, 3] into `Images` [n, 3, h, w] in [-1, 1], in one pass into a contiguous buffer."""
    out = torch.empty((len(pictures), 3, *pictures.shape[1:3]))
    out.copy_(torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2))
    return out.mul_(1 / 127.5).sub_(1)


def to_pictures(images: torch.Tensor) -> np.ndarray:
    """Turn `Images` into uint8 RGB [n, h, w, 3], values outside [-1, 1] clipped."""
    levels = images.float().clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)
    return levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def load(rows: pa.Table, size: int) -> FaceArrays:
    """Decode accepted rows to `size` and find their part boxes."""
    pictures = np.empty((rows.num_rows, size, size, 3), np.uint8)
    boxes = np.empty((rows.num_rows, 6, 4), np.float32)
    columns = (rows[name].to_pylist() for name in ("image", "landmarks", "domain"))
    for i, (image, landmarks, domain) in enumerate(zip(*columns, strict=True)):
        picture = codec.decode_jpeg(image)
        points = None if landmarks is None else np.array(landmarks, np.float32).reshape(68, 2)
        boxes[i] = part_boxes(points, domain, picture.shape[0])
        pictures[i] = codec.resize(picture, size)
    return FaceArrays(rows, pictures, boxes)


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
