"""Rows of a features table as a blender's stream: raw tokens of a codec, and what the faces table says of each person."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa

from rupantara import schema
from rupantara.errors import UserError
from rupantara.generation import codecs
from rupantara.imaging import codec as pictures
from rupantara.landmarks.regions import CANONICAL, part_boxes
from rupantara.storage import manifest, tables
from rupantara.training.choice import TrainingChoice, choose
from rupantara.training.pairs import UNKNOWN
from rupantara.training.streams import Stream
from rupantara.training.vector_rows import shape_of

VECTOR = "arcface"
"""Column of the photographs' identity vectors."""

FACE_COLUMNS = ("face_id", "identity", "attributes", "expressions", "landmarks", "image", "split", "domain", "reject")


@dataclass(frozen=True)
class About:
    """What a faces table says of one face: boxes [6, 4], a number for the person, sex, age and group (UNKNOWN where its path says none).

    `smile` is the expression network's probability of `happy`, UNKNOWN where it did not look.
    """

    boxes: np.ndarray
    person: int
    sex: int
    age: float
    group: int
    smile: float
    split: str


def number_of(identity: str) -> int:
    """Return a number of 63 bits for a person's name."""
    return int.from_bytes(hashlib.sha256(identity.encode()).digest()[:8], "big") >> 1


@lru_cache(maxsize=2)
def about(faces: str) -> dict[str, About]:
    """Read what a faces table says of its accepted people; UserError where a person is in two splits."""
    out: dict[str, About] = {}
    splits: dict[int, str] = {}
    for file in manifest.require(faces, "faces").data:
        rows = schema.where(schema.accepted(tables.read_file(faces, file.path, FACE_COLUMNS)), domain="human")
        for row in rows.to_pylist():
            named = {one["name"]: one["value"] for one in row["attributes"] or ()}
            points = row["landmarks"]
            landmarks = None if points is None else np.array(points, np.float32).reshape(68, 2)
            boxes = part_boxes(landmarks, "human", pictures.read_size(row["image"])[0])
            person = number_of(row["identity"] or row["face_id"])
            if splits.setdefault(person, row["split"]) != row["split"]:
                raise UserError(f"{faces} must have each person in one split, {row['identity']} is in two")
            sex, group = (int(named.get(name, UNKNOWN)) for name in ("sex", "group"))
            smile = (row["expressions"] or {}).get("happy")
            told = (sex, float(named.get("age", UNKNOWN)), group, UNKNOWN if smile is None else float(smile))
            out[row["face_id"]] = About(boxes, person, *told, row["split"])
    return out


@dataclass(frozen=True)
class BlenderRows:
    """Rows of a features table -> `tokens` [n, tokens, dim], `boxes`, `vector` if there is one, `person`, `sex`, `age`, `group`, `smile`.

    Without a faces table boxes are canonical, and each face is taken for a person of its own.
    """

    columns: tuple[str, ...]
    faces: str = ""
    vectors: bool = True

    def __call__(self, rows: pa.Table) -> dict[str, np.ndarray]:
        """Read the columns."""
        parts = [schema.dense(rows[name], *shape_of(rows.schema, name)).astype(np.float32) for name in self.columns]
        tokens = parts[0]
        if len(parts) > 1:
            dim = parts[1].shape[2]
            cut = parts[0].reshape(len(parts[0]), parts[0].shape[1] // dim, dim)
            tokens = np.concatenate([cut, parts[1]], axis=1)
        ids = rows["face_id"].to_pylist()
        known = about(self.faces) if self.faces else {}
        blank = np.array(CANONICAL["human"], np.float32)
        said = [known.get(i) or About(blank, number_of(i), UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, "") for i in ids]
        out = {
            "tokens": tokens,
            "boxes": np.array([one.boxes for one in said], np.float32).reshape(-1, 6, 4),
            "person": np.array([one.person for one in said], np.int64),
            "sex": np.array([one.sex for one in said], np.int64),
            "age": np.array([one.age for one in said], np.float32),
            "group": np.array([one.group for one in said], np.int64),
            "smile": np.array([one.smile for one in said], np.float32),
        }
        return out | (
            {"vector": schema.dense(rows[VECTOR], *shape_of(rows.schema, VECTOR)).astype(np.float32)}
            if self.vectors
            else {}
        )


def blender_streams(
    features: str,
    faces: str,
    columns: tuple[str, ...],
    least: int,
    *,
    vectors: bool,
    most: int,
    most_validation: int,
    seed: int,
) -> tuple[Stream, Stream]:
    """Lay out the streams of people to train and to validate on; UserError where columns or rows lack."""
    wanted = (*columns, *((VECTOR,) if vectors else ()))
    fields_of(features, wanted)
    if faces:
        about(faces)
    decode, out = BlenderRows(columns, faces, vectors), []
    for split, limit, fewest in (("train", most, least), ("val", most_validation, 4)):
        chosen = choose(
            (features,), "features", TrainingChoice(split, "human", present=wanted, seed=seed), limit, fewest
        )
        out.append(Stream((features,), "features", chosen.choice.columns, chosen.choice, decode, chosen.count))
    return out[0], out[1]


def fields_of(features: str, columns: Sequence[str]) -> list[pa.Field]:
    """Return the fields of columns of a features table; UserError where one is not there."""
    fields = tables.read_schema(features, manifest.require(features, "features").data[0].path)
    if lacking := [name for name in columns if name not in fields.names]:
        raise UserError(
            f"{features} has no column {' '.join(lacking)}: run jobs.extract with the extractors that make it"
        )
    return [fields.field(name) for name in columns]


def demand_codec(features: str, codec: str) -> tuple[str, str]:
    """Return the name of a codec and what names its codes (`codecs.codes_sha256`); UserError where the table's codes are of another."""
    name, sha256 = codecs.name_of(codec), codecs.codes_sha256(codec)
    first = fields_of(features, codecs.COLUMNS[name])[0]
    made_by = (first.metadata or {}).get(b"model_sha256", b"").decode()
    if made_by != sha256:
        raise UserError(f"{features} must hold codes of {codec}, {sha256[:12]}, got {made_by[:12]}")
    return name, sha256
