"""Sheets of pictures beside those that they were made from: the crops of faces by id, and morphs beside their parents."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

from rupantara import schema
from rupantara.imaging import codec
from rupantara.reports.grids import grid
from rupantara.storage import tables
from rupantara.types import Picture


def source_pictures(
    uri: str, ids: Sequence[str], schema_name: str = "faces", column: str = "image"
) -> dict[str, Picture]:
    """Read the aligned crops of some faces, from a faces table or from the crops of a features table; no more than holds them all."""
    found: dict[str, Picture] = {}
    columns = ("face_id", column, *(("reject",) if schema_name == "faces" else ()))
    for part in tables.read_parts(uri, columns, schema=schema_name):
        rows = schema.where_id(part, ids).select(["face_id", column]).to_pylist()
        found |= {row["face_id"]: codec.decode_jpeg(row[column]) for row in rows if row[column] is not None}
        if len(found) == len(set(ids)):
            break
    return found


TRIPLES_ACROSS = 4


def morph_sheet(faces: str, morphs: str, most: int, side: int = 112) -> bytes:
    """Return a JPEG of morphs beside their parents: first | second | morph, several to a row."""
    rows: list[dict[str, Any]] = []
    for part in tables.read_parts(morphs, ("face_id", "image", "parents", "reject"), schema="faces"):
        rows += schema.accepted(part).slice(0, most - len(rows)).to_pylist()
        if len(rows) >= most:
            break
    sources = source_pictures(faces, sorted({parent for row in rows for parent in row["parents"]}))
    triples = [[*(sources[p] for p in row["parents"]), codec.decode_jpeg(row["image"])] for row in rows]
    lines = [list(chain(*triples[i : i + TRIPLES_ACROSS])) for i in range(0, len(triples), TRIPLES_ACROSS)]
    return codec.encode_jpeg(grid(lines, ["first", "second", "morph"] * TRIPLES_ACROSS, side), 92)
