"""The sheet of variations: a face a row, its source first; faces from the prior in plain rows."""

import json
from collections import defaultdict

from rupantara.imaging import codec
from rupantara.reports.contact_sheet import source_pictures
from rupantara.reports.grids import grid
from rupantara.storage import tables, uris
from rupantara.types import Picture

ACROSS = 10


def write_variation_sheet(generated: str, faces: str, most: int, side: int = 96) -> str:
    """Write contact_sheet.png beside a generated table of jobs.vary and return its URI; `faces` may be "" for samples."""
    made: dict[str, list[tuple[int, Picture]]] = defaultdict(list)
    for part in tables.read_parts(generated, ("face_ids", "parameters", "image"), schema="generated"):
        for row in part.to_pylist():
            key, number = (row["face_ids"] or [""])[0], json.loads(row["parameters"])["number"]
            if key in made or len(made) < most:
                made[key].append((number, codec.decode_jpeg(row["image"])))
    pictures = {key: [picture for _, picture in sorted(rows, key=lambda row: row[0])] for key, rows in made.items()}
    samples = pictures.pop("", [])[: most * ACROSS]
    sources = source_pictures(faces, sorted(pictures)) if pictures else {}
    rows = [[sources[face], *varied] for face, varied in sorted(pictures.items())]
    rows += [samples[i : i + ACROSS] for i in range(0, len(samples), ACROSS)]
    uri = uris.join(generated, "contact_sheet.png")
    uris.write_bytes(uri, codec.encode_png(grid(rows, ["source"] if pictures else (), side)))
    return uri
