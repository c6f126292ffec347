"""Inputs of any number of rows for benchmarks.memory."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa

from rupantara import schema
from rupantara.imaging import codec
from rupantara.landmarks.regions import REGIONS
from rupantara.storage import manifest, tables
from rupantara.storage.recipe import Recipe
from rupantara.synthetic import draw_face

PART_ROWS = int(os.environ.get("PART_ROWS", "256"))
"""Rows of a part: of a file that a job reads."""
DRAWN = 100
SPECIES = ("cat", "dog", "fox", "lion", "tiger", "wolf", "bear", "leopard")
DRAWN_FACES = [draw_face("human", i, size=64) for i in range(16)]
IMAGES = [codec.encode_jpeg(face.image, 80) for face in DRAWN_FACES]
POINTS = [face.landmarks.ravel().tolist() for face in DRAWN_FACES]
MODEL = "m" * 64
DIM = 8


def columns_of(fields, count, **given):
    """Make a table of these columns: those given, else null."""
    known = {
        name: value if isinstance(value, pa.Array) else pa.array(value, fields.field(name).type)
        for name, value in given.items()
    }
    return pa.table([known.get(f.name, pa.nulls(count, f.type)) for f in fields], schema=fields)


def ids(start, count):
    return [hashlib.sha256(str(i).encode()).hexdigest() for i in range(start, start + count)]


def faces(names, uris, start=0):
    """Rows of the faces table under these SHA-256: one in fifty rejected, one in five an animal."""
    count = len(names)
    animal = [i % 5 == 4 for i in range(start, start + count)]
    reject = [
        {"stage": "detect", "reason": "no_face", "detail": ""} if i % 50 == 7 else None
        for i in range(start, start + count)
    ]
    return columns_of(
        schema.FACES,
        count,
        face_id=[f"{name[:32]}-0" for name in names],
        uri=uris,
        sha256=names,
        domain=["animal" if a else "human" for a in animal],
        species=[SPECIES[i % 8] if a else "human" for i, a in enumerate(animal)],
        identity=[name[:16] for name in names],
        image=[IMAGES[i % 16] for i in range(count)],
        landmarks=[None if a else POINTS[i % 16] for i, a in enumerate(animal)],
        split=[schema.SPLITS[int(name[-1], 16) % 3] for name in names],
        reject=reject,
    )


def features(names, start=0):
    """Rows of a features table with region codes."""
    field = schema.vector_field("regions_mu", len(REGIONS), DIM, model_sha256=MODEL, normalized=False)
    codes = np.random.default_rng(start).normal(size=(len(names), len(REGIONS), DIM)).astype(np.float32)
    animal = [i % 5 == 4 for i in range(start, start + len(names))]
    kinds = [SPECIES[i % 8] if a else "human" for i, a in enumerate(animal)]
    given = {
        "face_id": [f"{n[:32]}-0" for n in names],
        "domain": ["animal" if a else "human" for a in animal],
        "species": kinds,
    }
    given |= {"split": ["train"] * len(names), "regions_mu": schema.vector_array(codes)}
    return columns_of(schema.features([field]), len(names), **given)


def write_table(folder, kind, rows, make, **extra):
    """Write a complete table of so many rows, part by part."""
    recipe = Recipe("curate" if kind == "faces" else "extract", 1, {"rows": rows})
    running = manifest.begin(folder, kind, recipe, version=schema.version_of(kind), overwrite=False)
    starts = range(0, rows, PART_ROWS)
    for index, start in enumerate(starts):
        part = make(ids(start, min(PART_ROWS, rows - start)), start)
        tables.write_part(folder, running.fingerprint, index, part, part.num_rows)
    tables.commit_parts(folder, running, len(starts), 0.0, **extra)


def write_inputs(job, folder, rows, real):
    """Write what a job reads at this size; photographs are empty files where no stage reads them."""
    if job == "curate":
        (write_photographs if real else touch_photographs)(Path(folder, "photos"), rows)
    elif job in ("extract", "generate", "evaluate"):
        write_table(f"{folder}/faces", "faces", rows, lambda names, start: faces(names, names, start))
    else:
        write_table(f"{folder}/features", "features", rows, features, model_sha256=MODEL)
        write_bank(folder)


def touch_photographs(folder, rows):
    """Make empty files."""
    for i in range(rows):
        path = folder / f"{i // 1000:04d}" / f"{i % 1000:03d}.jpg"
        if i % 1000 == 0:
            path.parent.mkdir(parents=True)
        path.touch()


def write_photographs(folder, rows):
    """Write drawn people; each of the few that are drawn is many photographs, told apart by a number behind the picture."""
    listing = []
    faces = [draw_face("human", i, size=320) for i in range(min(DRAWN, rows))]
    pictures = [codec.encode_jpeg(face.image, 90) for face in faces]
    points = [face.landmarks.astype(float).round(3).tolist() for face in faces]
    for i in range(rows):
        name = f"human/drawn/person{i:07d}_0001.jpg"
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pictures[i % DRAWN] + str(i).encode())
        listing.append({"file": name, "points": points[i % DRAWN]})
    (folder / "keypoints.json").write_text(json.dumps(listing))


def write_bank(folder):
    """Write a small bank of the same model."""
    from jobs.build_bank import Config, main

    write_table(f"{folder}/few", "features", 400, features, model_sha256=MODEL)
    main(Config(features=f"{folder}/few", bank=f"{folder}/bank", num_shards=1, splits=("train",), workers=1))
