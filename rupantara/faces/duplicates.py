"""Photographs that are there twice, byte for byte: one of each stays, the others are rejected by name.

A face's id is of its photograph's bytes, so two of a name would be one face to all that comes after; and of two paths, two rules
may make two people, two species, a train and a test face. Which photograph of equal ones stays: the first with an accepted face.
What is rejected anyway keeps its own reason.
"""

import hashlib
import json
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial

import numpy as np
import pyarrow as pa

from rupantara import schema
from rupantara.metrics import faces_table as of_faces
from rupantara.storage import commits, parquet, parts, statistics

COLUMNS = ("uri", "sha256", "reject")
REASON = "duplicate"
log = logging.getLogger(__name__)

NONE = np.zeros(0, np.uint64)

Place = tuple[int, int]
"""A part, and a row of it."""


def suspects(count: int, prints: Callable[[Sequence[int]], Iterator[statistics.Arrays]]) -> dict[Place, Place]:
    """Return which accepted rows look like those of another photograph: place -> that of the first of the same bytes.

    `prints` yields those of `metrics.faces_table.prints` of some of the `count` parts, in order. It is called once to find repeated
    photographs, with 16 bytes a face held, and where there are any once more, to find their rows, for the parts that have them.
    """
    numbers, again = _repeated(prints(range(count)))
    kept = [(number, _of(one, again)) for number, one in zip(numbers, prints(numbers), strict=True)]
    if not kept:
        return {}
    shas, names, rows = (
        np.concatenate([one[n] for _, one in kept]) for n in (of_faces.SHA, of_faces.URI, of_faces.ROW)
    )
    part = np.repeat([n for n, _ in kept], [len(one[of_faces.SHA]) for _, one in kept])
    order = np.argsort(shas, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(shas[order]) != 0))
    first = order[starts][np.searchsorted(starts, np.arange(len(order)), side="right") - 1]
    other = names[order] != names[first]
    pairs = sorted(zip(order[other].tolist(), first[other].tolist(), strict=True))
    return {(int(part[i]), int(rows[i])): (int(part[j]), int(rows[j])) for i, j in pairs}


def _repeated(prints: Iterator[statistics.Arrays]) -> tuple[list[int], np.ndarray]:
    """Return the parts that hold a photograph of which there are several faces, and the prints of these photographs."""
    shas = [one.get(of_faces.SHA, NONE) for one in prints]
    ordered = np.concatenate([NONE, *shas])
    ordered.sort()
    again = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    return [number for number, one in enumerate(shas) if len(again) and np.isin(one, again).any()], again


def _of(prints: statistics.Arrays, shas: np.ndarray) -> statistics.Arrays:
    """Return the prints of these photographs alone."""
    at = np.isin(prints[of_faces.SHA], shas)
    return {name: prints[name][at] for name in (of_faces.SHA, of_faces.URI, of_faces.ROW)}


def rejected(rows: pa.Table, duplicates: dict[int, str]) -> pa.Table:
    """Return the table with these rows rejected: row number -> the URI of the photograph that stays."""
    rejects = rows["reject"].to_pylist()
    for i, kept in duplicates.items():
        rejects[i] = {"stage": "read", "reason": REASON, "detail": f"the same bytes as {kept}"}
    at = rows.schema.get_field_index("reject")
    column = pa.array(rejects, schema.FACES.field("reject").type)
    return rows.set_column(at, rows.schema.field(at), column)


def reject_duplicates(faces: str, paths: Sequence[str], tag: str, keep: Collection[str] = ()) -> dict[int, str]:
    """Write the parts that hold duplicates anew, and return them: place among `paths` -> file.

    A part keeps one content under one name, whoever writes it and when: the new ones are named after `tag`, and those that they
    stand for are deleted, unless they are among those to `keep`, which readers still see.
    """
    marked: dict[int, dict[int, Place]] = defaultdict(dict)
    for (part, row), first in suspects(len(paths), partial(_prints, faces, paths)).items():
        marked[part][row] = first
    name, found, out = hashlib.sha256(f"{tag} duplicates".encode()).hexdigest(), 0, {}
    for part, rows in sorted(marked.items()):
        table = parquet.read_file(faces, paths[part])
        twice = _confirmed(faces, paths, table, rows)
        if twice:
            rows_in = json.loads(parquet.read_footer(faces, paths[part]).metadata[parts.COUNTS])["in"]
            made = rejected(table, twice)
            parts.write_part(faces, name, part, statistics.attach(made, of_faces.measure(made)), rows_in)
            out[part] = parts.part_path(name, part)
            found += len(twice)
    for part in out.keys() - {i for i, path in enumerate(paths) if path in keep}:
        parquet.delete(faces, paths[part])
    if found:
        log.info(
            "%d faces are of photographs that are there under another name as well (duplicate); the rejects name it",
            found,
        )
    return out


def _prints(faces: str, paths: Sequence[str], numbers: Sequence[int]) -> Iterator[statistics.Arrays]:
    """Yield the prints that each of these parts left, or takes them of its rows where it left none."""
    paths = [paths[number] for number in numbers]
    for path, footer in zip(paths, commits.footers(faces, paths), strict=True):
        left = statistics.attached(footer.metadata)
        yield left.lists if left else of_faces.prints(parquet.read_file(faces, path, COLUMNS))


def _confirmed(faces: str, paths: Sequence[str], table: pa.Table, rows: dict[int, Place]) -> dict[int, str]:
    """Compare whole hashes with those of the first ones; return row number -> the first one's URI."""
    firsts = {part: parquet.read_file(faces, paths[part], ("uri", "sha256")) for part in {p for p, _ in rows.values()}}
    out = {}
    for row, (part, first) in rows.items():
        if table["sha256"][row] == firsts[part]["sha256"][first]:
            out[row] = firsts[part]["uri"][first].as_py()
    return out
