"""Cards of faces for the report of reverse mapping: pictures out of faces tables, matches out of the affinity table."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from rupantara import schema
from rupantara.bank.reference import PEOPLE
from rupantara.errors import UserError
from rupantara.features.extractor import FaceBatch, decode
from rupantara.imaging import codec
from rupantara.landmarks.region_crop import region_crop
from rupantara.landmarks.regions import PART_REGION, REGIONS
from rupantara.reports.reverse_mapping.cards import Card, Match
from rupantara.storage import manifest, tables

COLUMNS = ("face_id", "domain", "image", "keypoints", "landmarks", "points", "reject")
CROP_SIDE, FACE_SIDE, JPEG = 96, 224, 85
MATCHES = 4
"""Nearest animals shown of each region."""


def cards(affinity: str, faces_table: str, most: int, face_ids: Sequence[str], bank_faces: str = "") -> Iterator[Card]:
    """Make the cards of some faces, or of the first, those whose pictures are there."""
    rows = chosen_rows(affinity, most, face_ids)
    faces = list(dict.fromkeys(row["face_id"] for row in rows))
    animals = {i.partition("/")[0] for row in rows if row["species"] != PEOPLE for i in row["best_ids"]}
    pictures = read_faces(faces_table, {*faces, *animals})
    missing = animals - pictures.keys()
    if missing and bank_faces:
        pictures |= read_faces(bank_faces, missing)
    for face in faces:
        if face in pictures:
            yield card(face, [row for row in rows if row["face_id"] == face], pictures)


def chosen_rows(affinity: str, most: int, face_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Read the rows of the named faces, or of the first `most`; UserError for a face that is not in the table."""
    wanted, out, left = set(face_ids), [], len(face_ids) or most
    for part in tables.read_parts(affinity, schema="affinity"):
        ids = list(dict.fromkeys(part["face_id"].to_pylist()))
        take = [i for i in ids if i in wanted or not face_ids][:left]
        out += schema.where_id(part, take).to_pylist() if take else []
        wanted, left = wanted - set(take), left - len(take)
        if left <= 0:
            break
    if wanted:
        raise UserError(f"--face-ids must be in {affinity}, got {sorted(wanted)[0]}")
    return out


def read_faces(faces: str, ids: set[str]) -> dict[str, tuple[FaceBatch, int]]:
    """Read and decode some faces of a table; only files that hold one are read whole."""
    out: dict[str, tuple[FaceBatch, int]] = {}
    for file in manifest.require(faces, "faces").data:
        there = set(tables.read_file(faces, file.path, ("face_id",))["face_id"].to_pylist()) & ids
        if there:
            rows = schema.where_id(tables.read_file(faces, file.path, COLUMNS), there)
            decoded = decode(rows)
            out |= {name: (decoded, i) for i, name in enumerate(rows["face_id"].to_pylist())}
    return out


def card(face: str, rows: list[dict[str, Any]], pictures: dict[str, tuple[FaceBatch, int]]) -> Card:
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


def crop_of(found: tuple[FaceBatch, int] | None, region: int) -> bytes:
    """Return the JPEG of an animal's region (of ears, the left one), b"" where its picture is not there."""
    if found is None:
        return b""
    decoded, at = found
    crop = region_crop(decoded.pictures[at], decoded.boxes[at][PART_REGION.index(region)], 1.0, CROP_SIDE)
    return codec.encode_jpeg(crop, JPEG)
