"""Children measured: every blender with and without the refiner, and losses left out, after short trainings of one length.

    python -m benchmarks.children --features FEATURES --faces FACES --codec pretrained/region_vae --weights WEIGHTS

Held-out pairs, one photograph a person. Identity is judged by MobileFaceNet, which is in the loss, and by dlib's network, which no loss
saw; the null is the same child with another pair's parents (Wilcoxon, paired). `gain` is by how much the worse of both parents is nearer
to the child than to the average with lengths kept, over pairs and seeds, with its 95 % interval over pairs. Kinship is the share of
children nearer to a parent than 1 % of strangers are. Fréchet distances and class scores are SqueezeNet's, of as many photographs as
children: not FID nor IS. Each row is kept in the JSON file as soon as it is measured; the same command goes on from there.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
import tyro
from scipy import stats

from rupantara import schema
from rupantara.generation import child_loading, codecs
from rupantara.imaging import codec as pictures
from rupantara.landmarks.align import TEMPLATES, fit_similarity, prefilter
from rupantara.landmarks.crop import arcface_crop
from rupantara.metrics.class_score import ClassStats
from rupantara.metrics.frechet import GaussianStats, frechet_distance
from rupantara.models import dlib_identity, pretrained
from rupantara.models.blenders import ChildNet, ChildNetConfig
from rupantara.models.codecs import LatentCodec, Moments
from rupantara.models.feature_nets import squeezenet_rows
from rupantara.storage import manifest, tables, weights
from rupantara.tensors import to_images, to_pictures
from rupantara.training.blender import BlenderObjective, CodeReader
from rupantara.training.blender_rows import BlenderRows
from rupantara.training.blender_task import STREAM, BlenderNetworks, BlenderTask
from rupantara.training.choice import TrainingChoice

BLENDERS = ("average", "product", "linear", "mlp")
LOSSES = ("identity_weight", "kl_weight", "smooth_weight")


@dataclass(frozen=True)
class Config:
    """What is measured, and how long."""

    features: str
    faces: str
    codec: str
    weights: str
    out: Path = Path("benchmarks/children")
    steps: int = 60
    """Steps of each training, of 48 pairs."""
    pairs: int = 60
    """Held-out pairs that are measured."""
    seeds: int = 3
    threads: int = 2
    trained: tuple[str, ...] = ()
    """Checkpoints of jobs.train_blender, measured too."""


@dataclass(frozen=True)
class Variant:
    """One row of the table."""

    name: str
    net: ChildNetConfig
    objective: BlenderObjective
    trained: bool = True


OBJECTIVE = BlenderObjective(
    identity_through="codes", alpha="drawn", parents="photograph", learning_rate=1e-3, bfloat16=False
)
BASELINE = "average, lengths kept, untrained"


def variants() -> list[Variant]:
    """Return the blenders as they are, and trained with and without the refiner."""
    out = [Variant("average, untrained", ChildNetConfig("average", refined=False), OBJECTIVE, trained=False)]
    kept = ChildNetConfig("average", refined=False, keep_length=True)
    out.append(Variant(BASELINE, kept, OBJECTIVE, trained=False))
    for kind in BLENDERS:
        for refined in (False, True):
            if kind == "average" and not refined:
                continue
            said = f"{kind}{' + refiner' if refined else ''}"
            out.append(Variant(said, ChildNetConfig(kind, refined=refined, keep_length=True), OBJECTIVE))
    return out


def left_out(best: Variant) -> list[Variant]:
    """Return a variant with each loss left out."""
    return [
        replace(
            best, name=f"{best.name}, no {loss.removesuffix('_weight')}", objective=replace(OBJECTIVE, **{loss: 0.0})
        )
        for loss in LOSSES
    ]


def read(config: Config, split: str) -> tuple[dict[str, np.ndarray], list[str]]:
    """Read a split's rows and face ids."""
    decode = BlenderRows(codecs.COLUMNS["region_vae"], config.faces, vectors=True)
    choice = TrainingChoice(split, "human", present=("global_mu", "regions_mu", "arcface"))
    parts, ids = [], []
    for file in manifest.require(config.features, "features").data:
        rows = choice(tables.read_file(config.features, file.path, choice.columns))
        parts.append(decode(rows))
        ids += rows["face_id"].to_pylist()
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, ids


def train(
    variant: Variant, rows: dict[str, np.ndarray], codec: LatentCodec, known: ChildNet, seed: int, steps: int
) -> ChildNet:
    """Train one variant by a plain loop."""
    torch.manual_seed(seed)
    net = ChildNet(variant.net)
    for name in ("mean", "deviation", "spread"):
        net.get_buffer(name).copy_(known.get_buffer(name))
    if not variant.trained:
        return net.eval()
    reader = CodeReader.fit(codec.moments.standardize(torch.from_numpy(rows["tokens"])).numpy(), rows["vector"])
    task = BlenderTask(net, variant.objective, codec, BlenderNetworks(reader=reader), "any", torch.device("cpu"))
    modules, rng = task.modules(), np.random.default_rng(seed)
    for _ in range(steps):
        chosen = rng.choice(len(rows["person"]), 96, replace=False)
        task.step(modules, {STREAM: {name: value[chosen] for name, value in rows.items()}}, steps * 96)
    return task.state.average.eval()


class Judges:
    """The networks that look at pictures of the aligned crop's layout."""

    def __init__(self, folder: str) -> None:
        self._embed = pretrained.load_embed(folder)
        self._dlib = dlib_identity.from_published(weights.arrays("", "face_recognition"))
        self._squeezenet: Any = pretrained.load_features(folder, "squeezenet")

    @torch.inference_mode()
    def __call__(self, shown: np.ndarray) -> dict[str, np.ndarray]:
        """Return the vectors of uint8 pictures [n, side, side, 3] by network, and class probabilities."""
        out: dict[str, list[np.ndarray]] = {}
        for start in range(0, len(shown), 16):
            part = shown[start : start + 16]
            images, points = to_images(part), torch.tensor(TEMPLATES["human"]) * part.shape[1]
            found = {
                "mobilefacenet": F.normalize(
                    self._embed(arcface_crop(images, points.expand(len(part), -1, -1))), dim=1
                ),
                "dlib": self._dlib(torch.from_numpy(dlib_chips(part)).permute(0, 3, 1, 2).float()),
                "squeezenet": squeezenet_rows(self._squeezenet, images),
                "classes": self._squeezenet(F.interpolate(images, (227, 227), mode="bilinear")),
            }
            for name, value in found.items():
                out.setdefault(name, []).append(value.float().numpy())
        return {name: np.concatenate(parts) for name, parts in out.items()}


def dlib_chips(shown: np.ndarray) -> np.ndarray:
    """Cut dlib's chips out of aligned pictures."""
    points = np.array(TEMPLATES["human"]) * shown.shape[1]
    transform = fit_similarity(points, np.array(dlib_identity.TEMPLATE))
    size = (dlib_identity.SIDE,) * 2
    cut = [cv2.warpAffine(*prefilter(one, transform), size, borderMode=cv2.BORDER_REPLICATE) for one in shown]
    return np.stack(cut)


def measure(child: dict[str, np.ndarray], parents: list[dict[str, np.ndarray]]) -> dict[str, Any]:
    """Return a row of the table: likeness to both parents, the worse of them and the null, kinship, Fréchet, classes."""
    out: dict[str, Any] = {}
    for name in ("mobilefacenet", "dlib"):
        distance = [_distances(name, child[name], parent[name]) for parent in parents]
        own = [np.diagonal(d) for d in distance]
        null = [d[~np.eye(len(d), dtype=bool)] for d in distance]
        permuted = [np.roll(d, 1, axis=1).diagonal() for d in distance]
        worse = np.maximum(*own)
        out |= {f"{name}_mean": float(np.mean(own)), f"{name}_worse": float(worse.mean())}
        out[f"{name}_permuted"] = float(np.mean(null))
        out[f"{name}_p"] = float(
            max(stats.wilcoxon(a, b, alternative="less").pvalue for a, b in zip(own, permuted, strict=True))
        )
        threshold = np.quantile(np.concatenate(null), 0.01)
        out[f"{name}_kinship"] = float(np.mean([o < threshold for o in own]))
        out[f"{name}_worse_each"] = np.round(worse, 4).tolist()
    real = GaussianStats.update(
        np.concatenate([parent["squeezenet"] for parent in parents])[: len(child["squeezenet"])]
    )
    out["frechet_squeezenet"] = frechet_distance(GaussianStats.update(child["squeezenet"]), real)
    out["class_score_squeezenet"] = ClassStats.update(child["classes"]).compute()
    return out


def _distances(name: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return 1 - cosine, or dlib's Euclidean distance, of each with each."""
    return 1 - a @ b.T if name == "mobilefacenet" else np.linalg.norm(a[:, None] - b[None], axis=2)


def photographs(faces: str, ids: list[str], side: int) -> np.ndarray:
    """Return the crops of some faces in their order."""
    found: dict[str, np.ndarray] = {}
    for part in tables.read_parts(faces, ("face_id", "image", "reject"), schema="faces"):
        for row in schema.where_id(part, ids).to_pylist():
            found[row["face_id"]] = pictures.resize(pictures.decode_jpeg(row["image"]), side)
    return np.stack([found[i] for i in ids])


@torch.inference_mode()
def children(net: ChildNet, codec: LatentCodec, tokens: list[torch.Tensor], boxes: torch.Tensor) -> np.ndarray:
    """Decode the children of pairs."""
    child = net(*tokens)
    parts = [to_pictures(codec.decode(child[i : i + 16], boxes[i : i + 16])) for i in range(0, len(child), 16)]
    return np.concatenate(parts)


@dataclass(frozen=True)
class Bench:
    """What every row is measured with: codes to train on, held-out pairs and their parents' vectors, and the file of the rows."""

    config: Config
    rows: dict[str, np.ndarray]
    known: ChildNet
    codec: LatentCodec
    tokens: list[torch.Tensor]
    boxes: torch.Tensor
    judges: Judges
    parents: list[dict[str, np.ndarray]]

    @staticmethod
    def of(config: Config) -> "Bench":
        """Read the codes, pair one photograph a person off, and show the parents to the judges."""
        rows, _ = read(config, "train")
        held, ids = read(config, "test")
        known = ChildNet(ChildNetConfig())
        known.fit(torch.from_numpy(rows["tokens"]))
        codec = codecs.load(config.codec, Moments(known.mean, known.deviation))
        order = np.random.default_rng(0).permutation(len(ids))
        _, first = np.unique(held["person"][order], return_index=True)
        one_each = order[np.sort(first)][: 2 * config.pairs]
        both = [one_each[0::2], one_each[1::2]]
        tokens = [codec.moments.standardize(torch.from_numpy(held["tokens"][rows])) for rows in both]
        boxes = torch.from_numpy((held["boxes"][both[0]] + held["boxes"][both[1]]) / 2)
        judges = Judges(config.weights)
        parents = [judges(photographs(config.faces, [ids[i] for i in rows], codec.side)) for rows in both]
        return Bench(config, rows, known, codec, tokens, boxes, judges, parents)

    @property
    def said(self) -> dict[str, int]:
        """Return what makes rows comparable."""
        return {"steps": self.config.steps, "pairs": self.config.pairs, "seeds": self.config.seeds}

    def kept(self) -> list[dict[str, Any]]:
        """Return the rows of the file, where it is of the same measurement."""
        path = self.config.out.with_suffix(".json")
        found = json.loads(path.read_text()) if path.exists() else {}
        return found["rows"] if {n: found.get(n) for n in self.said} == self.said else []

    def add(self, name: str, seed: int, make: Callable[[], ChildNet]) -> None:
        """Measure a network and keep its row, unless that is there."""
        table = self.kept()
        if any((row["blender"], row["seed"]) == (name, seed) for row in table):
            return
        started = time.process_time()
        shown = self.judges(children(make(), self.codec, self.tokens, self.boxes))
        found = measure(shown, self.parents)
        row = {"blender": name, "seed": seed, **found, "cpu_s": round(time.process_time() - started, 1)}
        print(json.dumps({n: v for n, v in row.items() if not n.endswith("_each")}), flush=True)
        content = {**self.said, "rows": [*table, row]}
        self.config.out.with_suffix(".json").write_text(json.dumps(content, indent=1) + "\n")

    def train(self, variant: Variant) -> None:
        """Train a variant with each seed and measure it."""
        for seed in range(self.config.seeds if variant.trained else 1):
            made = partial(train, variant, self.rows, self.codec, self.known, seed, self.config.steps)
            self.add(variant.name, seed, made)


def main(config: Config) -> None:
    """Measure every variant, then the best one with each loss left out; write the JSON and the table."""
    torch.set_num_threads(config.threads)
    bench = Bench.of(config)
    for variant in variants():
        bench.train(variant)
    for uri in config.trained:
        bench.add(f"trained: {Path(uri).name}", 0, lambda uri=uri: child_loading.load(uri, config.codec).net)
    worse = {v.name: mean_of(bench.kept(), v.name, "dlib_worse") for v in variants() if v.trained}
    best = next(v for v in variants() if v.name == min(worse, key=worse.__getitem__))
    for variant in left_out(best):
        bench.train(variant)
    config.out.with_suffix(".md").write_text(markdown(bench.said, bench.kept()))


def mean_of(table: list[dict[str, Any]], blender: str, name: str) -> float:
    """Return a figure's mean over a blender's seeds."""
    return float(np.mean([row[name] for row in table if row["blender"] == blender]))


def gain(table: list[dict[str, Any]], blender: str, judge: str) -> str:
    """Return by how much the worse parent is nearer than to the baseline's child, ± the 95 % interval over pairs."""
    each = {
        name: np.mean([row[f"{judge}_worse_each"] for row in table if row["blender"] == name], axis=0)
        for name in (BASELINE, blender)
    }
    found = each[BASELINE] - each[blender]
    width = stats.t.ppf(0.975, len(found) - 1) * found.std(ddof=1) / len(found) ** 0.5
    return f"{found.mean():+.4f} ± {width:.4f}"


def markdown(said: dict[str, int], table: list[dict[str, Any]]) -> str:
    """Return the table, mean over seeds."""
    names = [n for n in table[0] if n not in ("blender", "seed", "cpu_s") and not n.endswith("_each")]
    lines = [
        f"{said['steps']} steps of 48 pairs, {said['pairs']} held-out pairs, {said['seeds']} seeds; distances: less is nearer.",
        "`trained` rows are checkpoints of `jobs.train_blender`, trained longer.",
        "",
    ]
    judges = ("dlib", "mobilefacenet")
    lines += [f"| blender | {' | '.join(f'{j} gain' for j in judges)} | {' | '.join(names)} |"]
    lines += [f"| --- |{' --- |' * (len(names) + len(judges))}"]
    for blender in dict.fromkeys(row["blender"] for row in table):
        gains = " | ".join(gain(table, blender, judge) for judge in judges)
        found = " | ".join(f"{mean_of(table, blender, n):.3g}" for n in names)
        lines.append(f"| {blender} | {gains} | {found} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(tyro.cli(Config))
