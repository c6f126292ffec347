"""Photographs and the points marked in them, as a table that a training reads."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from rupantara import schema
from rupantara.errors import UserError
from rupantara.imaging import codec
from rupantara.schema import POINTS
from rupantara.storage import uris
from rupantara.training.animal_views import view_index
from rupantara.training.photo_groups import folds, group, thumbnail

SIDE = 256
"""Longer side that photographs are kept at, and the side of the arrays they are decoded to."""
MARKED = pa.schema(
    [
        ("file", pa.string()),
        ("image", pa.binary()),
        schema.vector_field("points", 6, 2),
        ("known", pa.list_(pa.bool_(), 6)),
        ("view", pa.int64()),
        ("has_head", pa.bool_()),
        ("fold", pa.int64()),
    ]
)
"""`points` are px of `image`, NaN where hidden; `known` says of which it is known; `fold` is -1 for examples of no head."""


def read_marks(files: Mapping[str, bytes]) -> dict[str, dict[str, Any]]:
    """Read marks by photograph: six points by name (null where hidden) and a view, or a list of 3 or 5; the first counts."""
    found: dict[str, dict[str, Any]] = {}
    for name, data in files.items():
        try:
            for row in json.loads(data):
                named = _named(row["points"])
                if named is None:
                    continue
                unknown = [point not in named for point in POINTS]
                place = [named.get(point) or (np.nan, np.nan) for point in POINTS]
                mark = {"points": np.array(place, np.float32), "known": ~np.array(unknown), "view": row.get("yaw", "")}
                found.setdefault(row["file"], mark)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{name} must be a JSON list of {{file, points}}: {error!r}") from error
    return found


def _named(points: Any) -> dict[str, Any] | None:
    """Name points: of a list the first three are eyes and nose, of five the last two the mouth's corners; 68 are a person's."""
    if isinstance(points, dict):
        return points
    if len(points) not in (3, 5):
        return None
    mouth = {"mouth": [(a + b) / 2 for a, b in zip(*points[3:], strict=True)]} if len(points) == 5 else {}
    return {**dict(zip(POINTS, points[:3], strict=False)), **mouth}


def marked_table(
    photos: str, marks: Mapping[str, Mapping[str, Any]], nothing: Sequence[str], num_folds: int
) -> pa.Table:
    """Read marked photographs and examples of no animal's head into a table; near-duplicates are of one fold."""
    rows, thumbnails = [], []
    for name, mark in marks.items():
        picture, zoom = _small(photos, name)
        points = (mark["points"] + 0.5) * zoom - 0.5
        rows.append(_row(name, picture, points, mark["known"], view_index(mark["view"]), has_head=True))
        thumbnails.append(thumbnail(picture))
    sources = ["/".join(name.split("/")[:-1]) + name.split("/")[-1].split("__")[0] for name in marks]
    for row, fold in zip(rows, folds(group(np.array(thumbnails), sources), num_folds), strict=True):
        row["fold"] = int(fold)
    hidden = np.full((6, 2), np.nan, np.float32)
    rows += [_row(n, _small(photos, n)[0], hidden, np.ones(6, bool), -1, has_head=False) for n in nothing]
    return pa.Table.from_pylist(rows, schema=MARKED)


def _small(photos: str, name: str) -> tuple[np.ndarray, float]:
    picture = codec.decode(uris.read_bytes(uris.join(photos, name)))
    zoom = min(1.0, SIDE / max(picture.shape[:2]))
    size = [max(1, round(length * zoom)) for length in picture.shape[1::-1]]
    return (cv2.resize(picture, size, interpolation=cv2.INTER_AREA) if zoom < 1 else picture), zoom


def _row(
    name: str, picture: np.ndarray, points: np.ndarray, known: np.ndarray, view: int, *, has_head: bool
) -> dict[str, Any]:
    image = codec.encode_jpeg(picture, 95)
    named = {"points": points.ravel().tolist(), "known": known.tolist()}
    return {"file": name, "image": image, **named, "view": view, "has_head": has_head, "fold": -1}


@dataclass(frozen=True)
class InFolds:
    """Keeps the rows of one fold, or of all others; -1 keeps all."""

    fold: int
    inside: bool

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Keep rows."""
        if self.fold < 0:
            return rows if not self.inside else rows.filter(pa.array([fold == 0 for fold in rows["fold"].to_pylist()]))
        return rows.filter(pa.array([(fold == self.fold) == self.inside for fold in rows["fold"].to_pylist()]))


@dataclass(frozen=True)
class MarkedRows:
    """Rows of MARKED -> arrays as `animal_landmarks_task.marks_of` takes them."""

    def __call__(self, rows: pa.Table) -> dict[str, np.ndarray]:
        """Decode photographs into squares of SIDE."""
        n = rows.num_rows
        image, size = np.zeros((n, SIDE, SIDE, 3), np.uint8), np.zeros((n, 2), np.int64)
        for i, picture in enumerate(_decoded(rows)):
            size[i] = picture.shape[:2]
            image[i, : size[i, 0], : size[i, 1]] = picture
        columns = {name: np.array(rows[name].to_pylist()) for name in ("known", "view", "has_head")}
        points = schema.dense(rows["points"], 6, 2) if n else np.zeros((0, 6, 2), np.float32)
        return {
            "image": image,
            "size": size,
            "points": points.astype(np.float32),
            "known": columns["known"].reshape(n, 6).astype(bool),
            "view": columns["view"].astype(np.int64),
            "has_head": columns["has_head"].astype(bool),
        }


def _decoded(rows: pa.Table) -> Iterator[np.ndarray]:
    for data in rows["image"].to_pylist():
        yield codec.decode_jpeg(data)
