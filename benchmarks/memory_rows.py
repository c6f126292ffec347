"""Inputs of any number of rows for benchmarks.memory, and stages that emit rows made ready."""

import hashlib
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from rupantara import schema
from rupantara.imaging import codec
from rupantara.landmarks.regions import REGIONS
from rupantara.storage import manifest, tables
from rupantara.storage.recipe import Recipe
from rupantara.synthetic import draw_face

PART_ROWS = 256
SPECIES = ("cat", "dog", "fox", "lion", "tiger", "wolf", "bear", "leopard")
FACE = draw_face("human", 0, size=64)
IMAGE = codec.encode_jpeg(FACE.image, 80)
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
    points = FACE.landmarks.ravel().tolist()
    return columns_of(
        schema.FACES,
        count,
        face_id=[f"{name[:32]}-0" for name in names],
        uri=uris,
        sha256=names,
        domain=["animal" if a else "human" for a in animal],
        species=[SPECIES[i % 8] if a else "human" for i, a in enumerate(animal)],
        identity=[name[:16] for name in names],
        image=[IMAGE] * count,
        landmarks=[None if a else points for a in animal],
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


class ReadyFaces:
    """Batch of photographs -> rows of faces."""

    def __call__(self, batch):
        """Make the rows."""
        paths = [path.decode() for path in batch["path"].to_pylist()]
        made = faces([hashlib.sha256(path.encode()).hexdigest() for path in paths], paths)
        return made.replace_schema_metadata({schema.ROWS_IN: str(made.num_rows).encode()})


class ReadyFeatures:
    """Batch of faces -> rows of features."""

    def __init__(self, compute=None):
        """Compute nothing."""

    def __call__(self, batch):
        """Make the rows."""
        rows = schema.accepted(batch)
        return features([i.partition("-")[0] for i in rows["face_id"].to_pylist()])


class ReadyGenerated:
    """Batch of faces -> the reconstruction and one hybrid of each human."""

    def __call__(self, batch):
        """Make the rows."""
        humans = schema.where(schema.accepted(batch), domain="human")["face_id"].to_pylist()
        keys = [(i, kind) for i in humans for kind in ("reconstruction", "hybrid")]
        given = {"request_id": [f"{i}-{kind}" for i, kind in keys], "kind": [kind for _, kind in keys]}
        given |= {"face_ids": [[i] for i, _ in keys], "bank_ids": [[]] * len(keys), "image": [IMAGE] * len(keys)}
        given |= {
            "species": ["tiger" if kind == "hybrid" else "human" for _, kind in keys],
            "parameters": ["{}"] * len(keys),
        }
        return columns_of(
            schema.GENERATED, len(keys), **{k: v for k, v in given.items() if k in schema.GENERATED.names}
        )


class ReadyAffinity:
    """Batch of features -> eight rows a region of each human."""

    def __init__(self, bank=None):
        """Ask no bank."""

    def __call__(self, batch):
        """Make the rows."""
        humans = schema.where(batch, domain="human")["face_id"].to_pylist()
        keys = [(i, region, species) for i in humans for region in REGIONS for species in SPECIES]
        numbers = [(int(i[:4], 16) % 100) / 100 for i, _, _ in keys]
        given = dict(zip(("face_id", "region", "species"), zip(*keys, strict=True), strict=True)) if keys else {}
        named = {f.name for f in schema.AFFINITY if pa.types.is_floating(f.type)}
        return columns_of(
            schema.AFFINITY, len(keys), **{k: list(v) for k, v in given.items()}, **dict.fromkeys(named, numbers)
        )


def write_table(folder, kind, rows, make, **extra):
    """Write a complete table of so many rows, part by part."""
    recipe = Recipe("curate" if kind == "faces" else "extract", 1, {"rows": rows})
    running = manifest.begin(folder, kind, recipe, version=schema.version_of(kind), overwrite=False)
    starts = range(0, rows, PART_ROWS)
    for index, start in enumerate(starts):
        part = make(ids(start, min(PART_ROWS, rows - start)), start)
        tables.write_part(folder, running.fingerprint, index, part, part.num_rows)
    tables.commit_parts(folder, running, len(starts), 0.0, **extra)


def write_inputs(job, folder, rows):
    """Write what a job reads at this size."""
    if job == "curate":
        for i in range(rows):
            path = Path(folder, "photos", f"{i // 1000:04d}", f"{i % 1000:03d}.jpg")
            if i % 1000 == 0:
                path.parent.mkdir(parents=True)
            path.touch()
    elif job in ("extract", "generate", "evaluate"):
        write_table(f"{folder}/faces", "faces", rows, lambda names, start: faces(names, names, start))
    else:
        write_table(f"{folder}/features", "features", rows, features, model_sha256=MODEL)
        write_bank(folder)


def write_bank(folder):
    """Write a small bank of the same model."""
    from jobs.build_bank import Config, main

    write_table(f"{folder}/few", "features", 400, features, model_sha256=MODEL)
    main(Config(features=f"{folder}/few", bank=f"{folder}/bank", num_shards=1, splits=("train",), workers=1))


def curate_run(folder, rows):
    from jobs import curate

    config = curate.Config(photos=f"{folder}/photos", faces=f"{folder}/out", part_photos=PART_ROWS, workers=2)
    return config, replace(curate.build(config)[0], make_stage=ReadyFaces)


def extract_run(folder, rows):
    from jobs import extract

    shipped = str(Path(__file__).resolve().parents[1] / "pretrained/region_vae")
    config = extract.Config(faces=f"{folder}/faces", features=f"{folder}/out", checkpoint=shipped, workers=2)
    return config, replace(extract.build(config), make_stage=ReadyFeatures)


def reverse_map_run(folder, rows):
    from jobs import reverse_map

    config = reverse_map.Config(
        features=f"{folder}/features", bank=f"{folder}/bank", affinity=f"{folder}/out", workers=2
    )
    return config, replace(reverse_map.build(config), make_stage=ReadyAffinity)


def generate_run(folder, rows):
    from jobs.generate import hybrid
    from jobs.runtime.table_run import TableRun
    from rupantara.reports.generated import write_sheet

    shipped = Path(__file__).resolve().parents[1] / "pretrained"
    places = {"checkpoint": str(shipped / "region_vae"), "bank": str(shipped / "bank")}
    config = hybrid.Config(faces=f"{folder}/faces", generated=f"{folder}/out", species=("tiger",), workers=2, **places)
    planned = hybrid.build(config)
    run = TableRun(
        output=config.generated,
        schema="generated",
        recipe=planned.recipe,
        plan=planned.parts,
        make_stage=ReadyGenerated,
        columns=planned.columns,
        report=lambda done: [write_sheet(config.generated, planned.sources, config.sheet_rows)],
    )
    return config, run


def not_yet(job, folder, rows):
    raise SystemExit(f"jobs.{job} is not a table run that this benchmark knows yet")


RUNS = {
    "curate": curate_run,
    "extract": extract_run,
    "generate": generate_run,
    "evaluate": partial(not_yet, "evaluate"),
    "reverse_map": reverse_map_run,
}
"""By job: its config, and its table run with a stage that emits rows made ready."""
