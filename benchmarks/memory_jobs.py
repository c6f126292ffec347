"""The jobs of benchmarks.memory as table runs, and stages that emit rows made ready in place of their own."""

import hashlib
from dataclasses import replace
from functools import partial
from pathlib import Path

import pyarrow as pa

from benchmarks.memory_rows import IMAGES, PART_ROWS, columns_of, faces, features
from rupantara import schema

SHIPPED = Path(__file__).resolve().parents[1] / "pretrained"
MODEL, BANK = str(SHIPPED / "region_vae"), str(SHIPPED / "bank")
METHODS = ("model", "pca", "mean_face")


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

    def __init__(self, compute=None, bank=None):
        """Compute nothing and ask no bank."""

    def __call__(self, batch):
        """Make the rows."""
        humans = schema.where(schema.accepted(batch), domain="human")["face_id"].to_pylist()
        keys = [(i, kind) for i in humans for kind in ("reconstruction", "hybrid")]
        return columns_of(
            schema.GENERATED,
            len(keys),
            request_id=[f"{i}-{kind}" for i, kind in keys],
            kind=[kind for _, kind in keys],
            face_ids=[[i] for i, _ in keys],
            species=["tiger" if kind == "hybrid" else "human" for _, kind in keys],
            bank_ids=[[]] * len(keys),
            parameters=["{}"] * len(keys),
            image=[IMAGES[i % 16] for i in range(len(keys))],
        )


class ReadyMetrics:
    """Batch of faces -> what three methods make of each face, and the face itself."""

    def __init__(self, compute=None):
        """Compute nothing."""

    def __call__(self, batch):
        """Make the rows."""
        rows = schema.accepted(batch)
        keys = [
            (*who, method)
            for who in zip(*(rows[name].to_pylist() for name in ("face_id", "domain", "species")), strict=True)
            for method in ("source", *METHODS)
        ]
        numbers = [None if key[3] == "source" else 0.1 + int(key[0][:4], 16) / 2**17 for key in keys]
        return columns_of(
            schema.METRICS,
            len(keys),
            **dict(zip(("face_id", "domain", "species", "method"), map(list, zip(*keys, strict=True)), strict=True)),
            kind=["source" if key[3] == "source" else "reconstruction" for key in keys],
            **dict.fromkeys(("mse", "psnr", "ssim"), numbers),
        )


class ReadyAffinity:
    """Batch of features -> the affinities of its first faces, mapped once, under the ids of each batch; sums go with them as they do."""

    def __init__(self, make_stage):
        """Build the real stage, which maps the first batch alone."""
        self._stage, self._made = make_stage(), None

    def __call__(self, batch):
        """Make the rows."""
        if self._made is None:
            self._made = self._stage(batch)
            self._each = self._made.num_rows // schema.where(batch, domain="human").num_rows
        ids = schema.where(batch, domain="human")["face_id"].to_pylist()
        rows = self._made.slice(0, len(ids) * self._each)
        named = pa.array([i for i in ids for _ in range(self._each)][: rows.num_rows], pa.string())
        return rows.set_column(0, rows.schema.field(0), named)


def curate_run(folder):
    from jobs import curate

    config = curate.Config(photos=f"{folder}/photos", faces=f"{folder}/out", part_photos=PART_ROWS, workers=2)
    return config, curate.build(config)[0]


def extract_run(folder):
    from jobs import extract

    config = extract.Config(faces=f"{folder}/faces", features=f"{folder}/out", checkpoint=MODEL, workers=2)
    return config, extract.build(config)


def generate_run(folder):
    from jobs.generate import hybrid

    flags = {"species": ("tiger",), "renderer": "latent", "export": False, "workers": 2}
    config = hybrid.Config(faces=f"{folder}/faces", generated=f"{folder}/out", checkpoint=MODEL, bank=BANK, **flags)
    return config, hybrid.build(config)


def evaluate_run(folder):
    from jobs.evaluate import run
    from jobs.evaluate.config import Config

    flags = {"checkpoint": (MODEL,), "max_train_faces": 64, "workers": 2}
    config = Config(faces=f"{folder}/faces", metrics=f"{folder}/out", **flags)
    return config, run.build(config)


def reverse_map_run(folder):
    from jobs import reverse_map

    flags = {"features": f"{folder}/features", "bank": f"{folder}/bank", "affinity": f"{folder}/out", "workers": 2}
    config = reverse_map.Config(**flags)
    return config, reverse_map.build(config)


JOBS = {
    "curate": (curate_run, lambda run: ReadyFaces),
    "extract": (extract_run, lambda run: ReadyFeatures),
    "generate": (generate_run, lambda run: ReadyGenerated),
    "evaluate": (evaluate_run, lambda run: ReadyMetrics),
    "reverse_map": (reverse_map_run, lambda run: partial(ReadyAffinity, run.make_stage)),
}
"""By job: its table run, and the stage that emits rows made ready in place of the run's own."""


def of(job, folder, real):
    """Return a job's config and run, with its own stage where that is wanted."""
    make, ready = JOBS[job]
    config, run = make(folder)
    return config, run if real else replace(run, make_stage=ready(run))
