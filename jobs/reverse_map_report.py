"""The report of a finished affinity table: read its statistics, draw, and write page, figures and tables beside it."""

import io
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from jobs.runtime import cli
from rupantara import schema
from rupantara.bank.reference import PEOPLE
from rupantara.errors import UserError
from rupantara.features.extractor import Decoded, decode
from rupantara.imaging import codec
from rupantara.landmarks.region_crop import region_crop
from rupantara.landmarks.regions import PART_REGION, REGIONS
from rupantara.metrics.affinity_file import AffinityFile
from rupantara.reports.reverse_mapping import drawings, page
from rupantara.reports.reverse_mapping.cards import Card, Match
from rupantara.reports.reverse_mapping.numbers import Numbers, numbers
from rupantara.stages.extract import COLUMNS as FACE_COLUMNS
from rupantara.storage import manifest, tables, uris

log = logging.getLogger("jobs")
CROP_SIDE, FACE_SIDE, JPEG = 96, 224, 85
MATCHES = 4


@dataclass(frozen=True, kw_only=True)
class ReportConfig(cli.Common):
    """Draw the report of an affinity table again."""

    OUTPUT: ClassVar[str] = ""

    affinity: str
    """Affinity table; report.html, figures/ and tables/ are written into it."""
    faces: str = ""
    """Faces table of the mapped faces, and of the bank's animals unless --bank-faces names theirs: pictures for the cards."""
    bank_faces: str = ""
    """Faces table of the bank's animals."""
    cards: int = 8
    """Faces shown with their regions and nearest animals (needs --faces)."""
    face_ids: tuple[str, ...] = ()
    """The faces shown; empty = the first of the table."""


def draw(config: ReportConfig) -> None:
    """Write report.html, figures and tables."""
    found = manifest.require(config.affinity, "affinity")
    file = AffinityFile.from_bytes(uris.read_bytes(uris.join(config.affinity, found.extra["statistics"])))
    n = numbers(file)
    write_tables(config.affinity, n)
    laid_out = page.chapters(n, list(cards(config)) if config.faces and (config.cards or config.face_ids) else ())
    svgs = {}
    for plot in (plot for chapter in laid_out for plot in chapter.plots):
        figure = plot.draw(n)
        svgs[plot.name] = drawings.render(figure, "svg")
        uris.write_bytes(uris.join(config.affinity, f"figures/{plot.name}.svg"), svgs[plot.name])
        uris.write_bytes(uris.join(config.affinity, f"figures/{plot.name}.png"), drawings.render(figure, "png"))
    report = uris.join(config.affinity, "report.html")
    uris.write_bytes(report, page.render(n, laid_out, svgs))
    log.info("report: %s", report)


def write_tables(affinity: str, n: Numbers) -> None:
    """Write every table as CSV and Parquet."""
    for name, rows in n.tables.items():
        if not rows:
            continue
        table, sink = pa.Table.from_pylist(list(rows)), io.BytesIO()
        pa_csv.write_csv(table, sink)
        uris.write_bytes(uris.join(affinity, f"tables/{name}.csv"), sink.getvalue())
        tables.write_parquet(uris.join(affinity, f"tables/{name}.parquet"), table)


def cards(config: ReportConfig) -> Iterator[Card]:
    """Make the cards of the chosen faces, those whose pictures are there."""
    rows = chosen_rows(config)
    faces = list(dict.fromkeys(row["face_id"] for row in rows))
    animals = {i.partition("/")[0] for row in rows if row["species"] != PEOPLE for i in row["best_ids"]}
    pictures = read_faces(config.faces, {*faces, *animals})
    missing = animals - pictures.keys()
    if missing and config.bank_faces:
        pictures |= read_faces(config.bank_faces, missing)
    for face in faces:
        if face in pictures:
            yield card(face, [row for row in rows if row["face_id"] == face], pictures)


def chosen_rows(config: ReportConfig) -> list[dict[str, Any]]:
    """Read the rows of the faces to be shown; UserError for a face that is not in the table."""
    wanted, out = set(config.face_ids), []
    for part in tables.read_parts(config.affinity, schema="affinity"):
        ids = list(dict.fromkeys(part["face_id"].to_pylist()))
        take = [i for i in ids if i in wanted] if wanted else ids[: config.cards]
        out += schema.where_id(part, take).to_pylist() if take else []
        wanted -= set(take)
        if (out and not config.face_ids) or (config.face_ids and not wanted):
            break
    if wanted:
        raise UserError(f"--face-ids must be in {config.affinity}, got {sorted(wanted)[0]}")
    return out


def read_faces(faces: str, ids: set[str]) -> dict[str, tuple[Decoded, int]]:
    """Read and decode some faces of a table; only files that hold one are read whole."""
    out: dict[str, tuple[Decoded, int]] = {}
    for file in manifest.require(faces, "faces").data:
        there = set(tables.read_file(faces, file.path, ("face_id",))["face_id"].to_pylist()) & ids
        if there:
            rows = schema.where_id(tables.read_file(faces, file.path, FACE_COLUMNS), there)
            decoded = decode(rows)
            out |= {name: (decoded, i) for i, name in enumerate(rows["face_id"].to_pylist())}
    return out


def card(face: str, rows: list[dict[str, Any]], pictures: dict[str, tuple[Decoded, int]]) -> Card:
    """Make a card of a face's rows."""
    decoded, at = pictures[face]
    matches = {}
    for number, region in enumerate(REGIONS):
        found = [
            (score, name, row["species"])
            for row in rows
            if row["region"] == region and row["species"] != PEOPLE
            for name, score in zip(row["best_ids"], row["best_scores"], strict=True)
        ]
        best = sorted(found, reverse=True)[:MATCHES]
        matches[region] = [Match(crop_of(pictures.get(name), number), species, score) for score, name, species in best]
    profile: dict[str, list[float]] = {}
    for row in rows:
        if row["species"] != PEOPLE and row["probability"] is not None:
            profile.setdefault(row["species"], []).append(row["probability"])
    jpeg = codec.encode_jpeg(codec.resize(decoded.pictures[at], FACE_SIDE), JPEG)
    return Card(face, jpeg, decoded.boxes[at], matches, {name: float(np.mean(v)) for name, v in profile.items()})


def crop_of(found: tuple[Decoded, int] | None, region: int) -> bytes:
    """Return the JPEG of an animal's region (of ears, the left one), b"" where its picture is not there."""
    if found is None:
        return b""
    decoded, at = found
    crop = region_crop(decoded.pictures[at], decoded.boxes[at][PART_REGION.index(region)], 1.0, CROP_SIDE)
    return codec.encode_jpeg(crop, JPEG)
