"""Children measured: every blender with and without the refiner, and losses left out, after short trainings of one length.

    python -m benchmarks.children --features FEATURES --faces FACES --codec pretrained/region_vae --weights WEIGHTS

Held-out pairs, one photograph a person. Identity is judged by MobileFaceNet, which is in the loss, and by dlib's network, which no loss
saw; the null is the same child with another pair's parent. Kinship is the share of children nearer to a parent than 1 % of strangers
are (dlib). Fréchet distances and class scores are SqueezeNet's, of as many photographs as children: not FID nor IS.
"""

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
import tyro
from scipy import stats

from rupantara import schema
from rupantara.generation import codecs
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
from rupantara.training.blender_task import STREAM, BlenderTask, Judging
from rupantara.training.choice import Choice

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
    steps: int = 100
    """Steps of each training, of 48 pairs."""
    pairs: int = 48
    """Held-out pairs that are measured."""
    seeds: int = 1
    threads: int = 2
    shipped: str = ""
    """A checkpoint of jobs.train_blender, measured too."""


@dataclass(frozen=True)
class Variant:
    """One row of the table."""

    name: str
    net: ChildNetConfig
    objective: BlenderObjective
    trained: bool = True


def variants(steps: int) -> list[Variant]:
    """Return the rows: blenders as they are, trained with and without the refiner, and the linear one with each loss left out."""
    objective = BlenderObjective(
        identity_through="codes", alpha="drawn", parents="photograph", learning_rate=1e-3, bfloat16=False
    )
    out = [Variant("average, untrained", ChildNetConfig("average", refined=False), objective, trained=False)]
    kept = ChildNetConfig("average", refined=False, keep_length=True)
    out.append(Variant("average, lengths kept, untrained", kept, objective, trained=False))
    for kind in BLENDERS:
        for refined in (False, True):
            if kind == "average" and not refined:
                continue
            said = f"{kind}{' + refiner' if refined else ''}"
            out.append(Variant(said, ChildNetConfig(kind, refined=refined, keep_length=True), objective))
    best = ChildNetConfig("linear", refined=True, keep_length=True)
    dropped: list[dict[str, Any]] = [{loss: 0.0} for loss in LOSSES]
    out += [
        Variant(f"linear + refiner, no {next(iter(one)).removesuffix('_weight')}", best, replace(objective, **one))
        for one in dropped
    ]
    return out


def read(config: Config, split: str) -> tuple[dict[str, np.ndarray], list[str]]:
    """Read a split's rows and face ids."""
    decode = BlenderRows(codecs.COLUMNS["region_vae"], config.faces, vectors=True)
    choice = Choice(split, "human", present=("global_mu", "regions_mu", "arcface"))
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
    task = BlenderTask(net, variant.objective, codec, Judging(reader=reader), "any", torch.device("cpu"))
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

    points = np.array(TEMPLATES["human"]) * shown.shape[1]
    transform = fit_similarity(points, np.array(dlib_identity.TEMPLATE))
    size = (dlib_identity.SIDE,) * 2
    cut = [cv2.warpAffine(*prefilter(one, transform), size, borderMode=cv2.BORDER_REPLICATE) for one in shown]
    return np.stack(cut)


def measure(child: dict[str, np.ndarray], parents: list[dict[str, np.ndarray]]) -> dict[str, float]:
    """Return a row of the table: likeness to both parents, the worse of them and the null, kinship, Fréchet, classes."""
    out: dict[str, float] = {}
    for name in ("mobilefacenet", "dlib"):
        distance = [_distances(name, child[name], parent[name]) for parent in parents]
        own = [np.diagonal(d) for d in distance]
        null = [d[~np.eye(len(d), dtype=bool)] for d in distance]
        permuted = [np.roll(d, 1, axis=1).diagonal() for d in distance]
        out |= {f"{name}_mean": float(np.mean(own)), f"{name}_worse": float(np.maximum(*own).mean())}
        out[f"{name}_permuted"] = float(np.mean(null))
        out[f"{name}_p"] = float(
            max(stats.wilcoxon(a, b, alternative="less").pvalue for a, b in zip(own, permuted, strict=True))
        )
        threshold = np.quantile(np.concatenate(null), 0.01)
        out[f"{name}_kinship"] = float(np.mean([o < threshold for o in own]))
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


def main(config: Config) -> None:
    """Measure every variant and write the JSON and the table."""
    torch.set_num_threads(config.threads)
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
    table: list[dict[str, Any]] = []
    nets = [(v, s) for v in variants(config.steps) for s in range(config.seeds if v.trained else 1)]
    for variant, seed in nets:
        started = time.process_time()
        net = train(variant, rows, codec, known, seed, config.steps)
        found = measure(judges(children(net, codec, tokens, boxes)), parents)
        table.append({"blender": variant.name, "seed": seed, **found, "cpu_s": time.process_time() - started})
        print(json.dumps(table[-1]), flush=True)
    if config.shipped:
        from rupantara.generation import child_loading

        shipped = child_loading.load(config.shipped, config.codec).net
        found = measure(judges(children(shipped, codec, tokens, boxes)), parents)
        table.append({"blender": "shipped", "seed": 0, **found})
    said = {"steps": config.steps, "pairs": config.pairs, "seeds": config.seeds}
    config.out.with_suffix(".json").write_text(json.dumps({**said, "rows": table}, indent=1) + "\n")
    config.out.with_suffix(".md").write_text(markdown(said, table))


def markdown(said: dict[str, int], table: list[dict[str, Any]]) -> str:
    """Return the table, mean over seeds."""
    names = [n for n in table[0] if n not in ("blender", "seed", "cpu_s")]
    lines = [
        f"{said['steps']} steps of 48 pairs, {said['pairs']} held-out pairs, {said['seeds']} seed(s); distances: less is nearer.",
        "",
    ]
    lines += [f"| blender | {' | '.join(names)} |", f"| --- |{' --- |' * len(names)}"]
    for blender in dict.fromkeys(row["blender"] for row in table):
        mine = [row for row in table if row["blender"] == blender]
        lines.append(f"| {blender} | {' | '.join(f'{np.mean([row[n] for row in mine]):.3g}' for n in names)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(tyro.cli(Config))
