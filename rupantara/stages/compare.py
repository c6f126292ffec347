"""Faces to what each method makes of them: rows of `schema.COMPARISON`."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import safetensors.numpy
import torch
from torch import Tensor

from rupantara import schema
from rupantara.evaluation.contestants import Contestant, PcaContestant, load_contestant
from rupantara.evaluation.judges import Judges
from rupantara.faces.arrays import load, to_pictures
from rupantara.generation.variation import NOISE, seed_of
from rupantara.imaging import codec
from rupantara.metrics.diversity import mean_pairwise
from rupantara.metrics.image import image_errors
from rupantara.models.zoo import SIDE
from rupantara.storage import tables, uris
from rupantara.tensors import Images
from rupantara.training.warm_start import Pca, fit_pca

COLUMNS = ("face_id", "domain", "species", "attributes", "image", "landmarks", "points", "reject")
BATCH = 64
MEAN_FACE = "mean_face"


@dataclass(frozen=True)
class Contest:
    """What is compared on what: methods by name, face ids, and where the measuring networks lie ("" = not measured)."""

    checkpoints: Mapping[str, str]
    components: tuple[int, ...]
    baselines: str
    chosen: frozenset[str]
    varied: frozenset[str]
    shown: frozenset[str]
    count: int = 10
    noise: float = NOISE
    weights: str = ""
    heads: bool = False
    seed: int = 0


def count_attributes(faces: str, split: str) -> dict[str, dict[str, int]]:
    """Count the accepted humans of a split by each attribute's values."""
    counts: dict[str, Counter[str]] = {}
    for part in tables.read_parts(faces, ("domain", "split", "attributes", "reject"), schema="faces"):
        for row in schema.where(schema.accepted(part), domain="human", split=split)["attributes"].to_pylist():
            for pair in row or ():
                counts.setdefault(pair["name"], Counter())[pair["value"]] += 1
    return {name: dict(counter) for name, counter in counts.items()}


def fit_baseline(faces: str, ids: frozenset[str], components: int, uri: str) -> int:
    """Fit the PCA on train faces, write it as safetensors, and return the components fitted."""
    rows = [
        load(schema.where_id(part, ids), SIDE).images().flatten(1).numpy()
        for part in tables.read_parts(faces, COLUMNS, schema="faces")
    ]
    pca = fit_pca(np.concatenate(rows), components)
    uris.write_bytes(uri, safetensors.numpy.save(pca._asdict()))
    return len(pca.components)


def load_baseline(uri: str) -> Pca:
    """Read what `fit_baseline` wrote."""
    return Pca(**safetensors.numpy.load(uris.read_bytes(uri)))


def methods(contest: Contest) -> dict[str, Contestant]:
    """Load every method by its name."""
    pca = load_baseline(contest.baselines)
    out: dict[str, Contestant] = {}
    out.update((name, load_contestant(uri)) for name, uri in contest.checkpoints.items())
    out.update((f"pca_{n}", PcaContestant(pca, n)) for n in contest.components)
    out[MEAN_FACE] = PcaContestant(pca, 0)
    return out


def speeds(contest: Contest, faces: str, face_ids: frozenset[str]) -> dict[str, float]:
    """Return the milliseconds that each method takes for one reconstruction of a batch, one thread: the best of three."""
    torch.set_num_threads(1)
    parts = (schema.where_id(part, face_ids) for part in tables.read_parts(faces, COLUMNS, schema="faces"))
    rows = pa.concat_tables(parts)
    decoding = _best(lambda: load(rows, SIDE))
    found = {name: _best(lambda method=method: method.reconstruct(rows)) for name, method in methods(contest).items()}
    return {name: round(max(0.0, 1000 * (s - decoding)) / rows.num_rows, 3) for name, s in found.items()}


def _best(run: Callable[[], object]) -> float:
    times = []
    for _ in range(3):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return min(times)


class CompareFaces:
    """Batch of `schema.FACES` -> `schema.COMPARISON`."""

    def __init__(self, contest: Contest, threads: int = 1) -> None:
        """Load all methods and the measuring networks."""
        torch.set_num_threads(threads)
        self._contest, self._methods = contest, methods(contest)
        self._judge = Judges(contest.weights, heads=contest.heads, identity=False) if contest.weights else None

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Compare on the chosen faces of the batch."""
        rows, out = schema.where_id(batch, self._contest.chosen), []
        for start in range(0, rows.num_rows, BATCH):
            out += self._compare(rows.slice(start, BATCH))
        return pa.Table.from_pylist(out, schema=schema.COMPARISON)

    def _compare(self, rows: pa.Table) -> list[dict[str, Any]]:
        sources = load(rows, SIDE).images()
        out = self._rows(rows, "", "source", sources, {})
        for name, method in self._methods.items():
            made = method.reconstruct(rows)
            errors = image_errors(made, sources)
            if self._judge:
                errors["lpips_caffe_squeezenet"] = self._judge.distance(made, sources)
            out += self._rows(rows, name, "reconstruction", made, errors)
            seeds = [seed_of(self._contest.seed, "sample", name, i) for i in rows["face_id"].to_pylist()]
            out += self._rows(rows, name, "sample", torch.cat([method.sample(seed) for seed in seeds]), {})
            for i in range(rows.num_rows):
                out += self._variations(rows.slice(i, 1), name, method)
        return out

    def _rows(
        self, rows: pa.Table, method: str, kind: str, images: Images, measured: Mapping[str, Tensor]
    ) -> list[dict[str, Any]]:
        features = self._judge.features(images).tolist() if self._judge else [None] * len(images)
        columns = {name: values.tolist() for name, values in measured.items()}
        return [
            {"face_id": row["face_id"], "method": method, "kind": kind, "mode": "", "attributes": row["attributes"]}
            | {name: values[i] for name, values in columns.items()}
            | {"features": features[i], "image": self._shown(row["face_id"], images[i : i + 1])}
            for i, row in enumerate(rows.select(["face_id", "attributes"]).to_pylist())
        ]

    def _variations(self, row: pa.Table, name: str, method: Contestant) -> list[dict[str, Any]]:
        contest, face_id, out = self._contest, row["face_id"][0].as_py(), []
        if face_id not in contest.varied:
            return out
        for mode in method.modes:
            seed = seed_of(contest.seed, mode, face_id)
            made = method.vary(row, contest.count, mode, seed, contest.noise)
            base = {"face_id": face_id, "method": name, "kind": "variation", "mode": mode}
            base |= {"attributes": row["attributes"][0].as_py(), "image": self._shown(face_id, made)}
            out.append(base | {"diversity": mean_pairwise(made)})
        return out

    def _shown(self, face_id: str, images: Images) -> bytes | None:
        """Encode pictures side by side, for the faces that the report shows."""
        if face_id not in self._contest.shown:
            return None
        return codec.encode_png(np.concatenate(list(to_pictures(images)), axis=1))
