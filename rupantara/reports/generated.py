"""What a generated table is shown by: one sheet, a face a row with its source first, and PNG files named after face and species."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rupantara import schema
from rupantara.errors import Rejected
from rupantara.imaging import codec
from rupantara.reports.contact_sheet import source_pictures
from rupantara.reports.grids import PAPER, grid
from rupantara.storage import tables, uris
from rupantara.types import Picture

SHEET = "contact_sheet.png"
ACROSS = 10
"""Faces of nobody in a row of the sheet."""


@dataclass(frozen=True)
class Sources:
    """Where the pictures that generated ones were made from are found: a faces table, a features table with crops, or by URI."""

    faces: str = ""
    features: str = ""
    photographs: bool = False

    def of(self, shown: Mapping[str, Mapping[str, Any]]) -> dict[str, Picture]:
        """Return the pictures of some faces, as far as they are known; given are their ids and the parameters of what was made."""
        if self.faces:
            return source_pictures(self.faces, sorted(shown))
        if self.features:
            return source_pictures(self.features, sorted(shown), "features", "crop")
        if self.photographs:
            found = {face: _photograph(told["uri"]) for face, told in shown.items() if told.get("uri")}
            return {face: picture for face, picture in found.items() if picture is not None}
        return {}


def _photograph(uri: str) -> Picture | None:
    """Read a photograph onto a square of paper; None where it is no longer there."""
    try:
        picture = codec.decode(uris.read_bytes(uri))
    except (OSError, Rejected):
        return None
    height, width = picture.shape[:2]
    side = max(height, width)
    square = np.full((side, side, 3), PAPER, np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = picture
    return square


def title_of(row: Mapping[str, Any]) -> str:
    """Return what a picture is called beside others of its face: a hybrid's species, a variation's number, a child's, else its kind."""
    if row["kind"] == "hybrid":
        return str(row["species"])
    told = json.loads(row["parameters"])
    if row["kind"] == "child":
        return f"child-{told.get('sibling', 0):03d}" + (f"-age-{told['age']:g}" if "age" in told else "")
    if "parent" in told:
        return f"parent-{told['parent']}"
    number = told.get("number")
    return str(row["kind"]) if number is None else f"{row['kind']}-{number:03d}"


def family_of(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the faces that a picture is shown with: its own, or of a parent's reconstruction both parents."""
    return tuple(json.loads(row["parameters"]).get("parent_of") or row["face_ids"])


def write_sheet(generated: str, sources: Sources, most: int, side: int = 128) -> str:
    """Write contact_sheet.png beside a generated table and return its URI: its first faces, each in a row after its source."""
    rows = first_faces(generated, most)
    told = {face: json.loads(row["parameters"]) for row in rows for face in row["face_ids"]}
    pictures = sources.of(told)
    made: dict[tuple[str, ...], dict[str, Picture]] = {}
    for row in rows:
        made.setdefault(family_of(row), {})[title_of(row)] = codec.decode_jpeg(row["image"])
    nobody = list(made.pop((), {}).values())
    lines = [nobody[i : i + ACROSS] for i in range(0, len(nobody), ACROSS)]
    titles: list[str] = []
    if made:
        blank = np.full((side, side, 3), PAPER, np.uint8)
        columns = list(dict.fromkeys(title for theirs in made.values() for title in theirs))
        shown = max(map(len, made)) if pictures else 0
        titles = [*(["source"] if shown == 1 else ["parent"] * shown), *columns]
        for faces, theirs in made.items():
            before = [pictures.get(face, blank) for face in faces[:shown]]
            before += [blank] * (shown - len(before))
            lines.append([*before, *(theirs.get(title, blank) for title in columns)])
    uri = uris.join(generated, SHEET)
    uris.write_bytes(uri, codec.encode_png(grid(lines, titles, side)))
    return uri


def first_faces(generated: str, most: int) -> list[dict[str, Any]]:
    """Return the accepted rows of the first `most` faces, or the first rows of faces of nobody; no more is read than holds them."""
    columns = ("kind", "species", "face_ids", "parameters", "image", "reject")
    found: list[dict[str, Any]] = []
    faces: set[tuple[str, ...]] = set()
    for part in tables.read_parts(generated, columns, schema="generated"):
        for row in schema.accepted(part).to_pylist():
            key = family_of(row)
            if (key in faces or len(faces) < most) and (key or len(found) < most * ACROSS):
                faces.add(key)
                found.append(row)
        if len(faces) >= most or (() in faces and len(found) >= most * ACROSS):
            break
    return found


def write_pngs(generated: str) -> int:
    """Write each picture of a generated table as png/FACE_TITLE_ID.png in place of those that are there; return how many."""
    for old in uris.list_files(uris.join(generated, "png"), recursive=False):
        uris.delete(uris.join(generated, "png", old.path))
    count = 0
    for name, image in named_pictures(generated):
        uris.write_bytes(uris.join(generated, f"png/{name}"), image)
        count += 1
    return count


def named_pictures(generated: str) -> Iterator[tuple[str, bytes]]:
    """Yield a file name that says face and species, and the picture, of each accepted row."""
    columns = ("request_id", "kind", "species", "face_ids", "parameters", "image", "reject")
    for part in tables.read_parts(generated, columns, schema="generated"):
        for row in schema.accepted(part).to_pylist():
            yield file_name(row["face_ids"], title_of(row), row["request_id"]), row["image"]


def file_name(face_ids: Sequence[str], title: str, request_id: str) -> str:
    """Return a picture's file name: face ids, title, and digits of the request id, which tell apart pictures of one face and title."""
    words = "_".join([*(["+".join(face_ids)] if face_ids else []), title])
    return f"{re.sub(r'[^A-Za-z0-9.+-]+', '_', words)}_{request_id[:8]}.png"
