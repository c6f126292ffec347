"""Parts of work out of a listing of photographs."""

import os
from collections.abc import Sequence

import pyarrow as pa

from jobs.runtime.parts import Part
from rupantara import schema
from rupantara.storage.uris import FileEntry

EXTENSIONS = ("jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff", "gif")
"""Names that count as photographs."""


def photographs(listed: Sequence[FileEntry], extensions: Sequence[str] = EXTENSIONS) -> list[FileEntry]:
    """Keep the files that are photographs by name."""
    return [entry for entry in listed if entry.path.rpartition(".")[2].lower() in extensions]


def photo_part(index: int, rows: Sequence[FileEntry]) -> Part:
    """Plan some photographs as one part."""
    columns = {
        "path": [os.fsencode(r.path) for r in rows],
        "bytes": [r.size for r in rows],
        "mtime_ns": [r.mtime_ns for r in rows],
    }
    return Part(index, rows=pa.table(columns, schema=schema.PHOTOS))
