"""Photographs that are there twice are rejected when all parts are written, before they are committed."""

import hashlib
import json
import logging
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from rupantara.faces.duplicates import COLUMNS, Duplicates, rejected
from rupantara.storage import tables, uris

log = logging.getLogger("jobs")
READ_THREADS = 8


def reject_duplicates(faces: str, paths: Sequence[str], tag: str, keep: Collection[str] = ()) -> dict[int, str]:
    """Write the parts that hold duplicates anew, and return them: place among `paths` -> file.

    A part keeps one content under one name, whoever writes it and when: the new ones are named after `tag`, and those that they
    stand for are deleted, unless they are among those to `keep`, which readers still see.
    """
    with ThreadPoolExecutor(READ_THREADS) as pool:
        parts = list(pool.map(partial(tables.read_file, faces, columns=COLUMNS), paths))
    seen, found, out = Duplicates(), 0, {}
    for rows in parts:
        seen.add(rows)
    name = hashlib.sha256(f"{tag} duplicates".encode()).hexdigest()
    for index, (path, rows) in enumerate(zip(paths, parts, strict=True)):
        marked = seen.of(rows)
        if marked:
            rows_in = json.loads(tables.read_footer(faces, path).metadata[b"rupantara_counts"])["in"]
            tables.write_part(faces, name, index, rejected(tables.read_file(faces, path), marked), rows_in)
            out[index] = tables.part_path(name, index)
            found += len(marked)
    for index in out.keys() - {i for i, path in enumerate(paths) if path in keep}:
        uris.delete(uris.join(faces, paths[index]))
    if found:
        log.info(
            "%d faces are of photographs that are there under another name as well (duplicate); the rejects name it",
            found,
        )
    return out
