"""Rows of a features table as decoders read them: vectors, landmarks, pictures."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from rupantara import schema
from rupantara.errors import UserError
from rupantara.imaging import codec
from rupantara.models.face_decoder import FaceDecoderConfig
from rupantara.storage import tables
from rupantara.types import Landmarks

IDENTITY = "arcface"
"""Column of the identity loss's vectors."""


@dataclass(frozen=True)
class VectorField:
    """A column of vectors: its length, the SHA-256 of the network that made it, and the other columns of its table."""

    name: str
    dim: int
    model_sha256: str
    columns: tuple[str, ...]


def vector_field(uri: str, file: str, name: str, subject: str = "--vector") -> VectorField:
    """Describe a vector column of a features table; UserError about the `subject` that names it, with those that there are."""
    fields = tables.read_schema(uri, file)
    vectors = [f.name for f in fields if pa.types.is_fixed_size_list(f.type) and f.name != schema.LANDMARKS]
    if name not in vectors:
        raise UserError(f"{subject} must be a vector column of {uri} ({', '.join(vectors) or 'none'}), got {name!r}")
    field = fields.field(name)
    digest = (field.metadata or {}).get(b"model_sha256", b"").decode()
    return VectorField(name, field.type.list_size, digest, tuple(fields.names))


def decoders_field(uri: str, file: str, config: FaceDecoderConfig) -> VectorField:
    """Describe a decoder's vector column in a features table; UserError where another network made it."""
    theirs, wanted = vector_field(uri, file, config.vector, "the decoder's vector"), config.texture.input_dim
    if (theirs.model_sha256, theirs.dim) != (config.vector_sha256, wanted):
        raise UserError(
            f"{uri} must hold {config.vector} of the network that the decoder was trained on ({config.vector_sha256[:12]},"
            f" {wanted} numbers), got {theirs.model_sha256[:12]}, {theirs.dim}"
        )
    return theirs


def usable(rows: pa.Table, columns: Collection[str], split: str) -> pa.Table:
    """Keep the humans of a split ("" = all) that have all of the columns, vectors among them finite."""
    rows = schema.where(rows, domain="human", **({"split": split} if split else {}))
    for name in columns:
        rows = rows.filter(pa.array(schema.is_whole(rows[name])))
    return rows


def vectors_of(rows: pa.Table, name: str) -> np.ndarray:
    """Return a vector column without nulls as float32 [n, dim]."""
    return schema.dense(rows[name], rows.schema.field(name).type.list_size).astype(np.float32)


def landmarks_of(rows: pa.Table) -> Landmarks:
    """Return landmarks, px of `landmarks.texture.SIDE`: float32 [n, 68, 2]."""
    return schema.dense(rows[schema.LANDMARKS], 68, 2).astype(np.float32)


def pictures_of(rows: pa.Table, column: str, side: int) -> np.ndarray:
    """Decode a column of pictures: uint8 [n, side, side, 3]."""
    out = np.empty((rows.num_rows, side, side, 3), np.uint8)
    for i, data in enumerate(rows[column].to_pylist()):
        out[i] = codec.resize(codec.decode_jpeg(data), side)
    return out


@dataclass(frozen=True)
class DecoderRows:
    """Rows of a features table -> `vector`, `landmarks` and, where asked for, `image` uint8 and `identity` float32.

    `vector` and `picture` ("" = none) name columns; `side` is the pictures' side in pixels.
    """

    vector: str
    picture: str
    side: int
    identity: bool

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns that a row must have."""
        wanted = (self.vector, schema.LANDMARKS, self.picture, IDENTITY if self.identity else "")
        return tuple(dict.fromkeys(name for name in wanted if name))

    def __call__(self, rows: pa.Table) -> dict[str, np.ndarray]:
        """Decode rows that have all of the columns."""
        out = {"vector": vectors_of(rows, self.vector), "landmarks": landmarks_of(rows)}
        if self.picture:
            out["image"] = pictures_of(rows, self.picture, self.side)
        if self.identity:
            out["identity"] = vectors_of(rows, IDENTITY)
        return out
