"""VAEs of the zoo, region VAEs, PCAs and the mean face on trial: reconstructions, samples and variations at side 64."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import safetensors.numpy
import torch

from rupantara import schema
from rupantara.evaluation.contestants import Contestant, PcaContestant, load_contestant
from rupantara.evaluation.protocol import Held, Made, Method
from rupantara.faces.arrays import load
from rupantara.generation.variation import NOISE, seed_of
from rupantara.metrics.diversity import mean_pairwise
from rupantara.models.zoo import SIDE
from rupantara.storage import manifest, tables, uris
from rupantara.tensors import to_pictures
from rupantara.training.warm_start import Pca, fit_pca

COLUMNS = ("face_id", "domain", "species", "attributes", "image", "landmarks", "points", "reject")
BATCH = 64
MEAN_FACE = "mean_face"


@dataclass(frozen=True)
class Contest:
    """What is compared on what: methods by name, the face ids, and those of them whose variations are measured."""

    checkpoints: Mapping[str, str]
    components: tuple[int, ...]
    baselines: str
    chosen: frozenset[str]
    varied: frozenset[str]
    count: int = 10
    noise: float = NOISE
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
    """Load every method by its name; a PCA has as many components as were asked for and could be fitted."""
    pca = load_baseline(contest.baselines)
    out: dict[str, Contestant] = {}
    out.update((name, load_contestant(uri)) for name, uri in contest.checkpoints.items())
    components = sorted({min(count, len(pca.components)) for count in contest.components})
    out.update((f"pca_{count}", PcaContestant(pca, count)) for count in components)
    out[MEAN_FACE] = PcaContestant(pca, 0)
    return out


def prepare(contest: Contest, faces: str, train: frozenset[str], timed: frozenset[str]) -> dict[str, Any]:
    """Fit the baselines on the train faces, time every method, and say what the report should know."""
    fit_baseline(faces, train, max(contest.components), contest.baselines)
    ms, about = speeds(contest, faces, timed), {}
    for name, method in methods(contest).items():
        found = manifest.read(contest.checkpoints[name]) if name in contest.checkpoints else None
        about[name] = {"latent_dim": method.latent_dim, "parameters": method.num_parameters, "ms": ms[name]}
        about[name] |= {"seconds": found.seconds if found else None}
    facts = {"faces": len(contest.chosen), "varied": len(contest.varied), "train_faces": len(train)}
    counted = count_attributes(faces, "train")
    return {**facts, "methods": about, "train_attributes": counted}


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


class ContestTrial:
    """Held-out people, and what each method makes of them."""

    def __init__(self, contest: Contest) -> None:
        """Load all methods."""
        self._chosen = contest.chosen
        self.methods: Mapping[str, Method] = {
            name: ContestantOnTrial(name, one, contest) for name, one in methods(contest).items()
        }

    def batches(self, rows: pa.Table) -> Iterator[Held]:
        """Yield the chosen faces."""
        rows = schema.where_id(rows, self._chosen)
        for start in range(0, rows.num_rows, BATCH):
            part = rows.slice(start, BATCH)
            yield Held(part, load(part, SIDE).images())


class ContestantOnTrial:
    """A contestant that reconstructs each face, samples one of nobody for each, and varies some."""

    def __init__(self, name: str, contestant: Contestant, contest: Contest) -> None:
        """Take a contestant and what is asked of it."""
        self._name, self._contestant, self._contest = name, contestant, contest

    def make(self, held: Held) -> Iterator[Made]:
        """Answer for a batch of held-out faces."""
        contest, contestant = self._contest, self._contestant
        yield Made(contestant.reconstruct(held.rows))
        seeds = [seed_of(contest.seed, "sample", self._name, face_id) for face_id in held.ids]
        yield Made(torch.cat([contestant.sample(seed) for seed in seeds]), "sample")
        for row, face_id in enumerate(held.ids):
            if face_id in contest.varied:
                yield from self._varied(held.rows.slice(row, 1), row, face_id)

    def _varied(self, face: pa.Table, row: int, face_id: str) -> Iterator[Made]:
        contest = self._contest
        for mode in self._contestant.modes:
            made = self._contestant.vary(face, contest.count, mode, seed_of(contest.seed, mode, face_id), contest.noise)
            strip, told = np.concatenate(list(to_pictures(made)), axis=1), {"diversity": [mean_pairwise(made)]}
            yield Made(None, "variation", mode, [row], told=told, strips=[strip])
