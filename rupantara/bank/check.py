"""Is a bank whole? Files, rows, vectors and indexes of a version, read and compared."""

from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa

from rupantara import schema
from rupantara.bank.index import BankIndex
from rupantara.bank.rows import shard_of
from rupantara.bank.versions import BankVersion, files_of
from rupantara.errors import UserError
from rupantara.landmarks.regions import REGIONS
from rupantara.storage import parquet, uris

UNIT_TOLERANCE = {"float": 1e-4, "halffloat": 2e-3}
"""How far from 1 the length of a stored vector may be."""


def check(found: BankVersion) -> list[str]:
    """Return what is wrong with a version, a line each; nothing for a whole one."""
    return list(_wrong(found))


def require_whole(found: BankVersion) -> None:
    """Raise UserError with all that is wrong with a version."""
    wrong = check(found)
    if wrong:
        raise UserError(f"{found.uri} is damaged: {'; '.join(wrong)}")


def _wrong(found: BankVersion) -> Iterator[str]:
    listed = {file.path: file.bytes for file in found.manifest.files}
    missing = [path for path in sorted(files_of(found)) if not parquet.exists(found.uri, path)]
    yield from (f"{path} is missing" for path in missing)
    yield from (f"{path} is not in the manifest" for path in sorted(files_of(found) - listed.keys()))
    if missing:
        return
    species: Counter[str] = Counter()
    seen: set[str] = set()
    for shard in range(len(found.shards)):
        try:
            rows = found.rows(shard)
            faces = schema.where(rows, region=REGIONS[0])
            yield from _rows_wrong(rows, faces["face_id"].to_pylist(), shard, len(found.shards))
            stored = {r: uris.read_bytes(uris.join(found.uri, p)) for r, p in found.shards[shard].index.items()}
            yield from _indexes_wrong(rows, stored, shard)
        except (UserError, pa.ArrowException, OSError, RuntimeError) as error:
            yield f"shard {shard}: {error}"
            continue
        twice = seen & set(faces["face_id"].to_pylist())
        seen |= set(faces["face_id"].to_pylist())
        yield from (f"{face} is in several shards" for face in sorted(twice)[:3])
        species.update(faces["species"].to_pylist())
    if dict(species) != {name: count for name, count in found.species.items() if count}:
        yield f"the manifest counts {found.species}, there are {dict(sorted(species.items()))}"


def _rows_wrong(rows: pa.Table, faces: list[str], shard: int, num_shards: int) -> Iterator[str]:
    elsewhere = [face for face in faces if shard_of(face, num_shards) != shard]
    if elsewhere:
        yield f"shard {shard}: {elsewhere[0]} belongs to shard {shard_of(elsewhere[0], num_shards)}"
    kind = rows.schema.field("vector").type
    lengths = np.linalg.norm(schema.dense(rows["vector"], kind.list_size).astype(np.float64), axis=1)
    off = ~(np.abs(lengths - 1) < UNIT_TOLERANCE[str(kind.value_type)])
    if off.any():
        yield f"shard {shard}: {int(off.sum())} vectors are not of length 1, the first has {lengths[off][0]:.4g}"


CHECKED_ROWS = 256


def _indexes_wrong(rows: pa.Table, stored: Mapping[str, bytes], shard: int) -> Iterator[str]:
    """Compare what indexes keep with the rows' vectors, at places over the whole shard."""
    index, dim = BankIndex(rows, stored), schema.bank_dim(rows.schema)
    for region in stored:
        vectors = schema.where(rows, region=region)["vector"]
        at = np.unique(np.linspace(0, len(vectors) - 1, CHECKED_ROWS).astype(np.int64))
        wanted = schema.dense(vectors.take(pa.array(at)), dim).astype(np.float32)
        if np.abs(index.vectors_at(region, at) - wanted).max() > 2e-3:
            yield f"shard {shard}: the index of {region} holds other vectors than its rows"
