"""Arrow schemas of every table: the only file that spells a column.

Vectors are FixedSizeList with field metadata `shape` (JSON), `model_sha256` and `normalized`, because pyarrow, pandas,
polars, duckdb and HF datasets all open that. Images are encoded bytes. `reject` is null in a sound row.
"""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rupantara.errors import UserError

VERSION = 2
"""Version of the columns of tables that are not named in VERSIONS."""

VERSIONS = {"bank": 3, "metrics": 4, "affinity": 3}
"""Version of the columns and the layout of tables that changed since: the bank's vectors are aligned and its files have versions."""


def version_of(name: str) -> int:
    """Return the version of a schema's columns, which a reader demands."""
    return VERSIONS.get(name, VERSION)


REJECT = pa.struct([("stage", pa.string()), ("reason", pa.string()), ("detail", pa.string())])
QUALITY_FIELDS = (
    "sharpness",
    "chroma",
    "brightness",
    "coverage",
    "interocular_px",
    "yaw",
    "pitch",
    "roll",
    "expression",
    "num_faces",
    "eyewear",
    "headwear",
    "eye_openness",
    "mouth_openness",
    "sureness",
)
"""Measures of a face; null = not judged (eyewear and headwear have no network in the catalogue yet)."""

POINTS = ("left_eye", "right_eye", "nose", "mouth", "left_ear", "right_ear")
"""An animal's points, left and right as seen in the picture."""

EXPRESSIONS = ("neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised")

ROWS_IN = b"rupantara_rows_in"
"""Metadata by which a stage says how many rows its output accounts for, where that is not the number of rows given."""

SPLITS = ("train", "val", "test")
IMAGE_COLUMNS = ("image", "texture", "crop")


def vector_field(
    name: str, *shape: int, model_sha256: str = "", normalized: bool = False, dtype: pa.DataType | None = None
) -> pa.Field:
    """Describe a fixed-length numeric column whose row-major shape is `shape`."""
    metadata = {"shape": json.dumps(shape), "model_sha256": model_sha256, "normalized": json.dumps(normalized)}
    return pa.field(name, pa.list_(dtype or pa.float32(), math.prod(shape)), metadata=metadata)


TEXTURE = pa.field("texture", pa.binary())
"""A face warped to the mean landmarks, JPEG; null where the landmarks allow no warp."""

CROP = pa.field("crop", pa.binary())
"""The aligned face as it is, JPEG, at the size of the textures."""

LANDMARKS = "landmarks"
"""In a features table: 68 x 2, px of a picture of side `landmarks.texture.SIDE`."""

PHOTOS = pa.schema([("path", pa.binary()), ("bytes", pa.int64()), ("mtime_ns", pa.int64())])

MORPHS_PLANNED = pa.schema([("pool", pa.int64()), ("index", pa.int64())])

FACE_POINTS = pa.field("points", pa.struct([(name, pa.list_(pa.float32(), 2)) for name in POINTS]))
"""The six points of an animal's head in pixels of the crop, null where hidden; null for people."""

FACE_EXPRESSIONS = pa.field("expressions", pa.struct([(name, pa.float32()) for name in EXPRESSIONS]))
"""Probabilities of a person's expressions, by a network; null for animals."""

FACE_ESTIMATED = pa.field(
    "estimated", pa.struct([("age", pa.float32()), ("sex", pa.string()), ("sex_probability", pa.float32())])
)
"""A person's apparent age in years and sex (`female`, `male`, as in `attributes`), estimated by a network: what the path says is
in `attributes`."""

ADDED = {field.name: field for field in (FACE_POINTS, FACE_EXPRESSIONS, FACE_ESTIMATED)}
"""Columns that older tables of the same version lack; readers get nulls."""

FACES = pa.schema(
    [
        ("face_id", pa.string()),
        ("uri", pa.string()),
        ("sha256", pa.string()),
        ("license", pa.string()),
        ("domain", pa.string()),
        ("species", pa.string()),
        ("identity", pa.string()),
        ("attributes", pa.list_(pa.struct([("name", pa.string()), ("value", pa.string())]))),
        ("image", pa.binary()),
        vector_field("keypoints", 5, 2),
        vector_field("landmarks", 68, 2),
        FACE_POINTS,
        FACE_EXPRESSIONS,
        FACE_ESTIMATED,
        ("detector_score", pa.float32()),
        ("quality", pa.struct([(name, pa.float32()) for name in QUALITY_FIELDS])),
        ("parents", pa.list_(pa.string())),
        ("split", pa.string()),
        ("reject", REJECT),
    ]
)

GENERATED = pa.schema(
    [
        ("request_id", pa.string()),
        ("kind", pa.string()),
        ("face_ids", pa.list_(pa.string())),
        ("species", pa.string()),
        ("bank_ids", pa.list_(pa.string())),
        ("parameters", pa.string()),
        ("seed", pa.int64()),
        ("image", pa.binary()),
        ("model_sha256", pa.list_(pa.string())),
        ("scores", pa.list_(pa.float32())),
        ("reject", REJECT),
    ]
)

STEP_ERRORS = pa.struct([("step", pa.string()), ("mse", pa.float64()), ("psnr", pa.float64()), ("ssim", pa.float64())])
"""Errors against the original after a step of post-processing; the first of a row is `input`, before any."""

EXPORTED = pa.schema(
    [
        ("file", pa.string()),
        ("rows", pa.int64()),
        ("bytes", pa.int64()),
        ("sha256", pa.string()),
        ("source", pa.string()),
    ]
)

EXPORT_PLANNED = pa.schema([("index", pa.int64()), ("source", pa.string())])

REPEATS = b"repeats"
"""Metadata of a column whose values come again and again, so that files keep each once."""

AFFINITY = pa.schema(
    [
        pa.field("face_id", pa.string(), metadata={REPEATS: b"true"}),
        ("region", pa.dictionary(pa.int8(), pa.string())),
        ("species", pa.dictionary(pa.int16(), pa.string())),
        ("mean", pa.float32()),
        ("best", pa.float32()),
        ("percentile_95", pa.float32()),
        ("probability", pa.float32()),
        ("person_probability", pa.float32()),
        pa.field("best_ids", pa.list_(pa.string()), metadata={REPEATS: b"true"}),
        ("best_scores", pa.list_(pa.float32())),
    ]
)
"""How near a face's region is to a species, or to other people (`people`): cosines in the table's space; `probability` that a random
feature of it is nearer than one of another species, `person_probability` that it is nearer than a random other person's."""

PROBE = pa.schema(
    [
        ("measure", pa.string()),
        ("space", pa.string()),
        ("region", pa.string()),
        ("n", pa.int64()),
        ("value", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
    ]
)
"""`space` is `raw` or `aligned` codes; `low` and `high` are the ends of the 95 % interval, NaN where none is known."""

METRICS = pa.schema(
    [
        ("face_id", pa.string()),
        ("domain", pa.string()),
        ("species", pa.string()),
        ("attributes", pa.list_(pa.struct([("name", pa.string()), ("value", pa.string())]))),
        ("method", pa.string()),
        ("kind", pa.string()),
        ("mode", pa.string()),
        ("mse", pa.float64()),
        ("psnr", pa.float64()),
        ("ssim", pa.float64()),
        ("lpips_caffe_squeezenet", pa.float64()),
        ("identity", pa.float64()),
        ("face_psnr", pa.float64()),
        ("nme", pa.float64()),
        vector_field("landmark_mse", 68),
        ("region_control", pa.list_(pa.float64())),
        ("diversity", pa.float64()),
        vector_field("mobilefacenet", 128, normalized=True),
        vector_field("squeezenet", 512, dtype=pa.float16()),
        ("image", pa.binary()),
    ]
)
"""What each method makes of a held-out face, and how it is measured; what was not measured is null.

`method` is `source` for the face itself. `kind` is `source`, `reconstruction`, `inversion`, `sample` (a face of nobody, seeded by the
face), `variation` (`mode` and `diversity`: the mean distance over pairs of several), or the kind of a generated picture, whose
`species` is the one that was asked for. `face_psnr` is inside the hull of the landmarks, `landmark_mse` px² of
`landmarks.texture.SIDE` by point; `region_control` by region. `image` is there for the faces that the report shows, of
variations a strip of them."""


def features(columns: Sequence[pa.Field]) -> pa.Schema:
    """Describe the features table: who the face is, then a vector column an extractor (null where it does not apply)."""
    kept = [pa.field(name, pa.string()) for name in ("face_id", "domain", "species", "split")]
    return pa.schema([*kept, *columns])


def enhanced(source: pa.Schema) -> pa.Schema:
    """Describe enhanced pictures: the columns of `source` (generated or faces), then `steps`, null where no original is known."""
    return pa.schema([*source, pa.field("steps", pa.list_(STEP_ERRORS))])


def bank(region_dim: int, model_sha256: str, dtype: pa.DataType | None = None) -> pa.Schema:
    """Describe the bank's rows; `vector` times `norm` is the region code, aligned by what the manifest's `alignment` says."""
    return pa.schema(
        [
            ("feature_id", pa.string()),
            ("face_id", pa.string()),
            ("species", pa.string()),
            ("region", pa.string()),
            vector_field("vector", region_dim, model_sha256=model_sha256, normalized=True, dtype=dtype),
            ("norm", pa.float32()),
            ("mean", pa.float32()),
            ("std", pa.float32()),
        ]
    )


DONORS = pa.schema(
    [
        ("face_id", pa.string()),
        ("species", pa.string()),
        ("image", pa.binary()),
        ("global_code", pa.list_(pa.float16())),
        ("region_codes", pa.list_(pa.float16())),
        vector_field("points", 6, 2),
        ("yaw", pa.float32()),
        ("eyes_open", pa.bool_()),
        ("fitness", pa.float32()),
    ]
)
"""Animals whose looks a bank lends: the aligned crop, or null and the whole code that a decoder shows instead; six points as fractions
of the crop, (px + 0.5) / side, NaN = not seen; how fit each is to lend its face."""


def points_of(row: Mapping[str, Any]) -> np.ndarray | None:
    """Return an animal's six points [6, 2] px of the crop from a row of faces, NaN where hidden; None where it has none."""
    named = row.get("points")
    if named is None:
        return None
    return np.array([named[name] or (np.nan, np.nan) for name in POINTS], np.float32)


def named_points(points: np.ndarray) -> dict[str, list[float] | None]:
    """Return six points [6, 2] by name, null where NaN, as `points` holds them."""
    return {n: [float(v) for v in p] if np.isfinite(p).all() else None for n, p in zip(POINTS, points, strict=True)}


def accepted(table: pa.Table) -> pa.Table:
    """Keep the rows that no stage rejected."""
    return table.filter(pc.field("reject").is_null())


def where(table: pa.Table, **equal: str) -> pa.Table:
    """Keep the rows whose columns have these values."""
    for column, value in equal.items():
        table = table.filter(pc.field(column) == value)
    return table


def where_id(table: pa.Table, face_ids: Collection[str]) -> pa.Table:
    """Keep the rows of these faces; of a table with `reject`, the accepted ones."""
    table = accepted(table) if "reject" in table.column_names else table
    return table.filter(is_one_of("face_id", face_ids))


def is_one_of(column: str, values: Collection[str]) -> pc.Expression:
    """Select the rows whose column is one of the values."""
    return pc.field(column).isin(pa.array(sorted(values), pa.string()))


def is_whole(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """Tell of each row whether it is there and, of vectors, whether all of its numbers are finite: bool [rows]."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    whole = np.array(array.is_valid().to_numpy(zero_copy_only=False), bool)
    if pa.types.is_fixed_size_list(array.type):
        numbers = array.flatten().to_numpy(zero_copy_only=False).reshape(-1, array.type.list_size)
        whole[whole] = np.isfinite(numbers.astype(np.float32)).all(1)
    return whole


def whole(table: pa.Table, *columns: str) -> pa.Table:
    """Keep the rows whose columns are there and, of vectors, finite."""
    for column in columns:
        table = table.filter(pa.array(is_whole(table[column])))
    return table


def filled(column: pa.ChunkedArray | pa.Array, *shape: int) -> np.ndarray:
    """Read a vector column as a float array [rows, *shape], NaN where a row is null."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    there = np.array(array.is_valid().to_numpy(zero_copy_only=False), bool)
    numbers = dense(array.filter(pa.array(there)), *shape)
    out = np.full((len(array), *shape), np.nan, numbers.dtype)
    out[there] = numbers
    return out


def dense(column: pa.ChunkedArray | pa.Array, *shape: int) -> np.ndarray:
    """Read a vector column as an array [rows, *shape]; UserError where a row is null (`whole` leaves those out)."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if array.null_count:
        raise UserError(
            f"a vector column must have a vector in each of its {len(array)} rows, got {array.null_count} nulls"
        )
    return array.flatten().to_numpy(zero_copy_only=False).reshape(len(array), *shape)


def vector_array(rows: np.ndarray) -> pa.FixedSizeListArray:
    """Turn an array [rows, ...] into a float32 FixedSizeList column, row-major."""
    flat = np.ascontiguousarray(rows, np.float32).reshape(len(rows), math.prod(rows.shape[1:]))
    return pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel()), flat.shape[1])


def bank_dim(columns: pa.Schema) -> int:
    """Return the length of the bank's vectors."""
    return columns.field("vector").type.list_size
