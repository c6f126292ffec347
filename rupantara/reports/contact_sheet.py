"""The contact sheet of generated pictures: source | reconstruction | hybrids by species; and their export as files."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from rupantara import schema
from rupantara.imaging import codec
from rupantara.reports.grids import grid
from rupantara.storage import tables, uris
from rupantara.types import Picture


def source_pictures(faces: str, ids: Sequence[str]) -> dict[str, Picture]:
    """Read the aligned crops of some faces."""
    found = {}
    for part in tables.read_parts(faces, ("face_id", "image", "reject"), schema="faces"):
        rows = schema.where_id(part, ids)
        found |= {r["face_id"]: codec.decode_jpeg(r["image"]) for r in rows.to_pylist()}
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


def write_contact_sheet(generated: str, faces: str, face_ids: Sequence[str], most: int, side: int = 128) -> str:
    """Write contact_sheet.png beside a generated table, one row a face, and return its URI.

    Without a faces table the rows are the table's own samples, and there are no sources to show.
    """
    shown = list(face_ids)[:most]
    sources = source_pictures(faces, shown) if faces else {}
    made: dict[str, dict[str, Picture]] = {face: {} for face in shown}
    for part in tables.read_parts(generated, ("kind", "species", "face_ids", "image"), schema="generated"):
        for row in part.to_pylist():
            face = row["face_ids"][0]
            if not faces and face not in made and len(made) < most:
                made[face] = {}
            if face in made:
                made[face][row["species"] if row["kind"] == "hybrid" else row["kind"]] = codec.decode_jpeg(row["image"])
    found = {title for pictures in made.values() for title in pictures}
    first, last = [t for t in ("reconstruction", "sample") if t in found], [t for t in ("nearest",) if t in found]
    titles = [*first, *sorted(found - {*first, *last}), *last]
    blank = np.full((side, side, 3), 255, np.uint8)
    rows = [
        [*([sources[f]] if faces else []), *(pictures.get(t, blank) for t in titles)]
        for f, pictures in made.items()
        if not faces or f in sources
    ]
    uri = uris.join(generated, "contact_sheet.png")
    uris.write_bytes(uri, codec.encode_png(grid(rows, [*(["source"] if faces else []), *titles], side)))
    return uri


def write_inversion_sheet(generated: str, faces: str, most: int, side: int = 128) -> str:
    """Write contact_sheet.png beside a table of inversions, one row a vector: source (of a faces table, "" = none), texture, face."""
    made: dict[str, dict[str, Picture]] = {}
    for part in tables.read_parts(generated, ("kind", "face_ids", "image", "reject"), schema="generated"):
        for row in schema.accepted(part).to_pylist():
            face = row["face_ids"][0]
            if face in made or len(made) < most:
                made.setdefault(face, {})[row["kind"]] = codec.decode_jpeg(row["image"])
    sources = source_pictures(faces, sorted(made)) if faces else {}
    blank = np.full((side, side, 3), 255, np.uint8)
    rows = [[*([sources.get(f, blank)] if faces else []), p["texture"], p["inversion"]] for f, p in made.items()]
    uri = uris.join(generated, "contact_sheet.png")
    titles = [*(["source"] if faces else []), "texture", "face"]
    uris.write_bytes(uri, codec.encode_png(grid(rows, titles, side)))
    return uri


def write_pngs(generated: str) -> int:
    """Write each picture of a generated table as png/REQUEST_ID.png, and return how many."""
    parts = (schema.accepted(part) for part in tables.read_parts(generated, ("request_id", "reject")))
    wanted = {f"{i}.png" for part in parts for i in part["request_id"].to_pylist()}
    for old in uris.list_files(uris.join(generated, "png"), recursive=False):
        if old.path not in wanted:
            uris.delete(uris.join(generated, "png", old.path))
    count = 0
    for part in tables.read_parts(generated, ("request_id", "image", "reject"), schema="generated"):
        for row in schema.accepted(part).to_pylist():
            uris.write_bytes(uris.join(generated, f"png/{row['request_id']}.png"), row["image"])
            count += 1
    return count
