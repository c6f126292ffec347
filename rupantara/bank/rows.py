"""Rows of the bank: one a face and region, unit vectors with the norm they had."""

import hashlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from rupantara import schema
from rupantara.bank.alignment import ANIMAL, Alignment
from rupantara.errors import UserError
from rupantara.landmarks.regions import REGIONS
from rupantara.metrics.cosine import unit


def shard_of(face_id: str, num_shards: int) -> int:
    """Return the shard of a face: the first 8 bytes of its id's SHA-256, modulo the number of shards."""
    return int.from_bytes(hashlib.sha256(face_id.encode()).digest()[:8], "big") % num_shards


def bank_rows(features: pa.Table, columns: pa.Schema, alignment: Alignment, column: str = "regions_mu") -> pa.Table:
    """Turn rows of the features table into rows of the bank, five a face, sorted by species and feature id.

    `vector` and `norm` are of the aligned code; `mean` and `std`, over the dimensions, of the code as it is.
    """
    dim = schema.bank_dim(columns)
    odd = np.flatnonzero(~schema.is_whole(features[column]))
    if len(odd):
        first = features["face_id"][int(odd[0])].as_py()
        raise UserError(
            f"a bank's faces must have a finite vector each, got none of {len(odd)} of {features.num_rows}, first {first}:"
            " run jobs.extract again, which rejects such faces"
        )
    codes = schema.dense(features[column], len(REGIONS), dim).astype(np.float32, copy=False)
    vectors, norms = unit(alignment.align(codes, ANIMAL))
    faces, species = features["face_id"].to_pylist(), features["species"].to_pylist()
    n = len(faces)
    table = {
        "feature_id": [f"{face}/{region}" for face in faces for region in REGIONS],
        "face_id": [face for face in faces for _ in REGIONS],
        "species": [name for name in species for _ in REGIONS],
        "region": list(REGIONS) * n,
        "vector": schema.vector_array(vectors.reshape(-1, dim)).cast(columns.field("vector").type),
        "norm": norms.ravel(),
        "mean": codes.mean(-1).ravel().astype(np.float32),
        "std": codes.std(-1).ravel().astype(np.float32),
    }
    return pa.table(table, schema=columns).sort_by([("species", "ascending"), ("feature_id", "ascending")])


def select_shard(features: pa.Table, shard: int, num_shards: int) -> pa.Table:
    """Keep the rows whose face belongs to a shard."""
    ids: Sequence[str] = features["face_id"].to_pylist()
    return features.filter(pa.array([shard_of(i, num_shards) == shard for i in ids], pa.bool_()))
