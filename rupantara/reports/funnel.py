"""Where photographs fell: counts by species and group, what was not judged, and what the rejects of each reason look like."""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rupantara import schema
from rupantara.errors import Rejected
from rupantara.imaging import codec
from rupantara.metrics.faces_table import ACCEPTED, COLUMNS, Fallen, fallen, measure
from rupantara.reports import html
from rupantara.reports.grids import grid
from rupantara.reports.html import Figure, Section, Table
from rupantara.storage import manifest, tables, uris
from rupantara.storage.manifest import Manifest
from rupantara.types import Picture

TILES, TILES_ACROSS, SIDE = 24, 12, 104
KINDS = {"human": "people", "unknown": "no species"}
"""Kinds of rows by species; any other species is an animal's."""


@dataclass(frozen=True)
class Example:
    """A reject that is shown, and the file that its row is in."""

    file: str
    face_id: str
    uri: str
    detail: str


def examples(faces: str, reasons: Collection[str]) -> dict[str, list[Example]]:
    """Find the first rejects of each reason, reading files only until there are enough."""
    found: dict[str, list[Example]] = {reason: [] for reason in reasons}
    for file in manifest.require(faces, "faces").data:
        wanted = [reason for reason, rows in found.items() if len(rows) < TILES]
        if not wanted:
            break
        rows = tables.read_file(faces, file.path, ("face_id", "uri", "reject"))
        for row in rows.filter(pc.field("reject", "reason").isin(pa.array(wanted))).to_pylist():
            of_reason = found[row["reject"]["reason"]]
            if len(of_reason) < TILES:
                of_reason.append(Example(file.path, row["face_id"], row["uri"], row["reject"]["detail"]))
    return found


def _table(caption: str, name: str, groups: dict[str, Counter[str]], reasons: Sequence[str]) -> Table:
    names = sorted(groups, key=lambda s: (s != "human", s))
    everyone = sum(groups.values(), Counter[str]())
    shown = [(s, groups[s]) for s in names] + ([("all", everyone)] if len(names) > 1 else [])
    lines = [[s, sum(by.values()), *(by[c] for c in (ACCEPTED, *reasons))] for s, by in shown]
    return Table(caption, [name, "in", ACCEPTED, *reasons], lines)


def mark(found: Manifest) -> str:
    """Return what tells one table's report from another's: the recipe and, after retries, how many there were."""
    return f"{found.fingerprint[:16]}-{len(found.extra.get('retried', []))}"


def write(faces: str, found: Manifest) -> list[str]:
    """Write report.html beside the table, unless it is there already; return what to say of it."""
    uri = uris.join(faces, "report.html")
    if not uris.exists(uri) or mark(found).encode() not in uris.read_bytes(uri):
        uris.write_bytes(uri, html.render("Curation", [section(faces)]))
    counts = fallen(tables.statistics_of(faces, measure, COLUMNS))
    return [*of_whom(counts), *losses(counts), f"report: {uri}"]


def of_whom(counts: Fallen) -> list[str]:
    """Say what became of rows of people, of animals, and of photographs that were not read so far; nothing where all are of one kind."""
    kinds = {kind: Counter[str]() for kind in ("people", "animals", "no species")}
    for species, by in counts.by_species.items():
        kinds[KINDS.get(species, "animals")].update(by)
    told = [f"{kind}: {_outcome(by)}" for kind, by in kinds.items() if by]
    return told if len(told) > 1 else []


def _outcome(by: Counter[str]) -> str:
    reasons = [(reason, number) for reason, number in by.most_common() if reason != ACCEPTED and number]
    told = ", ".join(f"{reason} {number}" for reason, number in reasons)
    rejected = sum(number for _, number in reasons)
    return f"{by[ACCEPTED]} accepted, {rejected} rejected" + (f" ({told})" if told else "")


LEAST_SHARE, LEAST_ROWS = 0.5, 4
"""A species of at least so many rows that keeps less than this share of them is worth a warning."""


def losses(counts: Fallen) -> list[str]:
    """Name the species that lost most of their pictures, with the reasons."""
    out = []
    for species, by in sorted(counts.by_species.items()):
        total, reasons = sum(by.values()), [(n, r) for r, n in by.items() if r != ACCEPTED and n]
        if total >= LEAST_ROWS and by[ACCEPTED] < LEAST_SHARE * total:
            told = ", ".join(f"{reason} {n}" for n, reason in sorted(reasons, reverse=True))
            out.append(f"warning: {species} keeps {by[ACCEPTED]} of {total} rows ({told})")
    return out


def section(faces: str) -> Section:
    """Build the report's section; in = accepted + rejected in every row of every table."""
    found = manifest.require(faces, "faces")
    counts = fallen(tables.statistics_of(faces, measure, COLUMNS))
    rejected = sum(found.counts["rejected"].values())
    summary = f"{found.counts['in']} in = {found.counts['accepted']} accepted + {rejected} rejected."
    note = (
        f"{found.extra.get('not_photographs', 0)} other files are not photographs by their names;"
        f" {found.extra.get('known_keypoints', 0)} known keypoints were given. Recipe {mark(found)}."
    )
    unjudged = [[name, n, found.counts["accepted"]] for name, n in sorted(counts.unjudged.items())]
    split_rows = [[d, *(counts.splits[d, s] for s in schema.SPLITS)] for d in sorted({d for d, _ in counts.splits})]
    shown = [
        _table("By species", "species", counts.by_species, counts.reasons),
        *(
            _table(f"By {name} (as the path says)", name, by, counts.reasons)
            for name, by in sorted(counts.by_attribute.items())
        ),
        Table("Accepted faces by split (no identity is in two)", ["domain", *schema.SPLITS], split_rows),
        Table("Not judged: accepted without this measure", ["measure", "faces", "of"], unjudged),
    ]
    return Section("Photographs", [summary, note], shown, sheets(faces, counts))


def sheets(faces: str, counts: Fallen) -> list[Figure]:
    """Show the first rejects of each reason: the aligned crop where there is one, else the photograph."""
    found = examples(faces, counts.reasons)
    wanted: dict[str, list[str]] = defaultdict(list)
    for row in (row for rows in found.values() for row in rows):
        wanted[row.file].append(row.face_id)
    crops: dict[str, Picture] = {}
    for file, ids in wanted.items():
        chosen = tables.read_file(faces, file, ("face_id", "image")).filter(schema.is_one_of("face_id", ids))
        crops |= {r["face_id"]: codec.decode_jpeg(r["image"]) for r in chosen.to_pylist() if r["image"]}
    figures = []
    for reason, rows in found.items():
        tiles = [crops[r.face_id] if r.face_id in crops else photograph(r.uri) for r in rows]
        lines = [tiles[i : i + TILES_ACROSS] for i in range(0, len(tiles), TILES_ACROSS)]
        total = sum(by[reason] for by in counts.by_species.values())
        example = f"; for example: {rows[0].detail}" if rows[0].detail else ""
        caption = f"{reason}: {len(rows)} of {total}{example}"
        figures.append(Figure(caption, codec.encode_jpeg(grid(lines, side=SIDE), 88)))
    return figures


def photograph(uri: str) -> Picture:
    """Read a source photograph as a square tile; grey with a cross where it cannot be read any more or decoded."""
    try:
        picture = codec.decode(uris.read_bytes(uri))
    except (OSError, ValueError, Rejected):
        tile = np.full((SIDE, SIDE, 3), 200, np.uint8)
        cv2.line(tile, (8, 8), (SIDE - 8, SIDE - 8), (150, 150, 150), 2)
        return cv2.line(tile, (8, SIDE - 8), (SIDE - 8, 8), (150, 150, 150), 2)
    scale = SIDE / max(picture.shape[:2])
    size = tuple(max(1, round(n * scale)) for n in picture.shape[1::-1])
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    top, left = (SIDE - small.shape[0]) // 2, (SIDE - small.shape[1]) // 2
    tile = np.full((SIDE, SIDE, 3), 255, np.uint8)
    tile[top : top + small.shape[0], left : left + small.shape[1]] = small
    return tile
