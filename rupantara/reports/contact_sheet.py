"""The contact sheet of generated pictures: source | reconstruction | hybrids by species; and their export as files."""

from collections.abc import Sequence

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


def write_contact_sheet(generated: str, faces: str, face_ids: Sequence[str], most: int, side: int = 128) -> str:
    """Write contact_sheet.png beside a generated table, one row a face, and return its URI."""
    shown = list(face_ids)[:most]
    sources = source_pictures(faces, shown)
    made: dict[str, dict[str, Picture]] = {face: {} for face in shown}
    for part in tables.read_parts(generated, ("kind", "species", "face_ids", "image"), schema="generated"):
        for row in part.to_pylist():
            if row["face_ids"][0] in made:
                title = "reconstruction" if row["kind"] == "reconstruction" else row["species"]
                made[row["face_ids"][0]][title] = codec.decode_jpeg(row["image"])
    species = sorted({t for pictures in made.values() for t in pictures} - {"reconstruction", "nearest"})
    titles = ["reconstruction", *species, *(["nearest"] if any("nearest" in m for m in made.values()) else [])]
    blank = np.full((side, side, 3), 255, np.uint8)
    rows = [[sources[f], *(made[f].get(t, blank) for t in titles)] for f in shown if f in sources]
    uri = uris.join(generated, "contact_sheet.png")
    uris.write_bytes(uri, codec.encode_png(grid(rows, ["source", *titles], side)))
    return uri


def write_pngs(generated: str) -> int:
    """Write each picture of a generated table as png/REQUEST_ID.png, and return how many."""
    wanted = {
        f"{i}.png" for part in tables.read_parts(generated, ("request_id",)) for i in part["request_id"].to_pylist()
    }
    for old in uris.list_files(uris.join(generated, "png"), recursive=False):
        if old.path not in wanted:
            uris.delete(uris.join(generated, "png", old.path))
    count = 0
    for part in tables.read_parts(generated, ("request_id", "image"), schema="generated"):
        for row in part.to_pylist():
            uris.write_bytes(uris.join(generated, f"png/{row['request_id']}.png"), row["image"])
            count += 1
    return count
