"""Animals whose looks a bank carries, as pictures or as codes: written beside its rows, read when a hybrid wants fur."""

import hashlib
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rupantara import schema
from rupantara.bank import versions
from rupantara.errors import UserError
from rupantara.imaging import codec
from rupantara.landmarks import donor, fitness
from rupantara.landmarks.donor import Donor
from rupantara.storage import tables, uris
from rupantara.types import Picture

FILE = "donors.parquet"
COLUMNS = ("face_id", "species", "image", "keypoints", "points", "quality", "reject")
KEPT = 256
"""Animals kept ready at a time: less than half a megabyte each."""

MIRROR_YAW = 3.0
"""From this yaw on (degrees), an animal that looks the other way than the person is mirrored."""

YAW_REACH, CHANCE, LENT_BONUS = 18.0, 0.22, 0.1
"""Difference of yaw that costs two thirds; spread of the draw that lends many animals; what an animal gains that retrieval named."""


def six_points(row: Mapping[str, Any]) -> np.ndarray:
    """Return a row's six points [6, 2]: those it has, else of its five keypoints with the ears not seen."""
    found = schema.points_of(row)
    if found is not None:
        return found
    five = np.array(row["keypoints"], np.float32).reshape(5, 2)
    return np.concatenate([five[:3], five[3:].mean(0, keepdims=True), np.full((2, 2), np.nan, np.float32)])


def donor_rows(
    faces: pa.Table, codes: Mapping[str, tuple[np.ndarray, np.ndarray]] | None = None
) -> list[dict[str, Any]]:
    """Turn accepted animals of a faces table into rows of `schema.DONORS`: with crops, or with `codes` (global, regions by face id)."""
    out = []
    for row in schema.accepted(faces).to_pylist():
        points, quality = six_points(row), row["quality"] or {}
        if not np.isfinite(points[:4]).all() or (codes is not None and row["face_id"] not in codes):
            continue
        picture = codec.decode_jpeg(row["image"])
        kept = {"face_id": row["face_id"], "species": row["species"]}
        told = {"yaw": fitness.yaw_of(points), "eyes_open": fitness.eyes_open(quality)}
        told["fitness"] = fitness.fitness(picture, points, quality)
        if codes is None:
            looks = {"image": row["image"]}
        else:
            names = ("global_code", "region_codes")
            looks = {n: part.ravel().astype(np.float16) for n, part in zip(names, codes[row["face_id"]], strict=True)}
        out.append(kept | looks | told | {"points": ((points + 0.5) / picture.shape[0]).ravel().tolist()})
    return out


def write(bank: str, faces: str, chosen: Collection[str], features: str = "") -> int:
    """Write the looks of chosen animals of a faces table beside a bank; return how many there were.

    With a `features` table it is their whole codes, else their crops.
    """
    codes = read_codes(features, chosen) if features else None
    found: list[dict[str, Any]] = []
    for part in tables.read_parts(faces, COLUMNS, schema="faces"):
        found += donor_rows(schema.where_id(part, chosen), codes)
    if not found:
        raise UserError(f"{faces} must hold pictures of the bank's animals, got none of {len(chosen)}")
    table = pa.Table.from_pylist(sorted(found, key=lambda row: row["face_id"]), schema=schema.DONORS)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    uris.write_bytes(uris.join(bank, FILE), sink.getvalue().to_pybytes())
    return table.num_rows


def forget(bank: str, face_ids: Collection[str]) -> None:
    """Write the looks of some animals out of a bank; nothing happens where it carries none of theirs."""
    place = uris.join(bank, FILE)
    if not face_ids or not uris.exists(place):
        return
    table = pq.read_table(pa.BufferReader(uris.read_bytes(place)))
    kept = table.filter(pa.array([i not in face_ids for i in table["face_id"].to_pylist()], pa.bool_()))
    if kept.num_rows < table.num_rows:
        sink = pa.BufferOutputStream()
        pq.write_table(kept, sink, compression="zstd")
        uris.write_bytes(place, sink.getvalue().to_pybytes())


def read_codes(features: str, chosen: Collection[str]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Read the global and region codes of some faces of a features table."""
    out: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for part in tables.read_parts(features, ("face_id", "global_mu", "regions_mu"), schema="features"):
        rows = schema.whole(schema.where_id(part, chosen), "global_mu", "regions_mu")
        both = [np.asarray(rows[name].to_pylist(), np.float32) for name in ("global_mu", "regions_mu")]
        out |= dict(zip(rows["face_id"].to_pylist(), zip(*both, strict=True), strict=True))
    return out


Decode = Callable[[np.ndarray, np.ndarray, str], Picture]
"""Shows an animal by its global code [dim], its region codes [5 * dim] and its species."""


class Donors:
    """The animals whose looks a bank lends."""

    def __init__(self, rows: pa.Table) -> None:
        """Take rows of `schema.DONORS`."""
        self._rows = rows.to_pylist()
        self._places = {row["face_id"]: i for i, row in enumerate(self._rows)}
        self._by_species: dict[str, list[int]] = {}
        for i, row in enumerate(self._rows):
            self._by_species.setdefault(row["species"], []).append(i)
        self._made = lru_cache(maxsize=KEPT)(self._make)
        self._decode: Decode | None = None

    def show_by(self, decode: Decode) -> None:
        """Take the decoder for animals that come as codes."""
        self._decode = decode

    @property
    def species(self) -> tuple[str, ...]:
        """Return the species that can lend pictures."""
        return tuple(sorted(self._by_species))

    def pick(self, face_id: str, species: str, yaw: float, lent: Collection[str] = ()) -> tuple[Donor, float]:
        """Choose who of a species lends a face its looks, and how well it fits (0..1).

        Fit are animals that look the same way as the person (or do so in a mirror), with open eyes, sharp and whole. Among fit ones
        a draw by both ids decides, so that many animals serve; what retrieval named (`lent`, face ids) has a better chance.
        UserError for a species without pictures.
        """
        if species not in self._by_species:
            raise UserError(f"species with pictures are {', '.join(self.species)}, got {species!r}")
        places = self._by_species[species]
        fits = np.array([self._fit(self._rows[i], yaw, lent) for i in places])
        draws = np.array([_draw(face_id, self._rows[i]["face_id"]) for i in places])
        best = int(np.argmax(fits + CHANCE * draws))
        row = self._rows[places[best]]
        turned = abs(yaw) > MIRROR_YAW and abs(row["yaw"]) > MIRROR_YAW and (yaw > 0) != (row["yaw"] > 0)
        made = self._made(places[best])
        # Cutting an animal out takes a hundred times as long as turning it.
        return made.mirrored() if turned else made, float(min(fits[best], 1.0))

    def donor(self, face_id: str) -> Donor:
        """Return one animal, ready; KeyError for one that there is not."""
        return self._made(self._places[face_id])

    def known(self, face_id: str) -> bool:
        """Tell whether it has the looks of an animal."""
        return face_id in self._places

    def looks(self, face_id: str) -> tuple[Picture, np.ndarray, bool]:
        """Return an animal's picture, its six points [6, 2] as fractions of it, and whether the picture is a photograph."""
        row = self._rows[self._places[face_id]]
        return self._picture(row), np.array(row["points"], np.float32).reshape(6, 2), row["image"] is not None

    def mean_global(self, species: str) -> np.ndarray | None:
        """Return the mean global code [dim] of a species' animals, None where none of them comes as codes."""
        rows = [self._rows[i]["global_code"] for i in self._by_species.get(species, ())]
        codes = [np.array(row, np.float32) for row in rows if row is not None]
        return np.stack(codes).mean(0) if codes else None

    def _fit(self, row: Mapping[str, Any], yaw: float, lent: Collection[str]) -> float:
        apart = abs(abs(yaw) - abs(row["yaw"]))
        bonus = LENT_BONUS if row["face_id"] in lent else 0.0
        return row["fitness"] * float(np.exp(-((apart / YAW_REACH) ** 2))) + bonus

    def _make(self, place: int) -> Donor:
        row = self._rows[place]
        picture = self._picture(row)
        points = np.array(row["points"], np.float32).reshape(6, 2) * picture.shape[0] - 0.5
        names = {"name": row["face_id"], "species": row["species"]}
        return donor.prepare(picture, points, eyes_open=row["eyes_open"], **names)

    def _picture(self, row: Mapping[str, Any]) -> Picture:
        if row["image"] is not None:
            return codec.decode_jpeg(row["image"])
        if self._decode is None:
            raise ValueError("animals that come as codes need a decoder: call show_by first")
        codes = (np.array(row[name], np.float32) for name in ("global_code", "region_codes"))
        return self._decode(*codes, row["species"])


def _draw(face_id: str, animal: str) -> float:
    """Return a number of a Gumbel distribution that both ids decide, at most 4."""
    number = int.from_bytes(hashlib.sha256(f"{face_id}/{animal}".encode()).digest()[:8], "big")
    return min(4.0, float(-np.log(-np.log((number + 0.5) / 2**64))))


def read(bank: str) -> Donors | None:
    """Read a bank's animals with pictures; None where it carries none."""
    uri = uris.join(bank, FILE)
    if not uris.exists(uri):
        return None
    rows = pq.read_table(pa.BufferReader(uris.read_bytes(uri)))
    removed = versions.latest(bank).removed
    return Donors(rows.filter(~schema.is_one_of("face_id", removed)) if removed else rows)
