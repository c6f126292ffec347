"""How near the landmarks of animals lie to points marked by hand, by species: one JSON line a species, then one of all.

    python -m benchmarks.animal_landmarks --photos FOLDER --points animal_keypoints.json [--detector yunet --weights FOLDER]

Distances are medians in units of the marked eyes' distance, over faces whose eyes and nose are all marked. `within_0.25` is the share
of those whose eyes and nose all lie within 0.25; a face that is not found counts as not, and is in no median.
"""

import argparse
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import cv2
import numpy as np
import torch

from rupantara.faces.animal_heads import AnimalHeads
from rupantara.faces.animal_network import load_network
from rupantara.faces.detector import YuNet
from rupantara.imaging import codec
from rupantara.models.animal_landmarks import POINTS
from rupantara.storage import uris, weights
from rupantara.types import Picture

NEAR = 0.25
Locate = Callable[[str, Picture], np.ndarray | None]
"""A photograph's name and pixels -> the subject's six points [6, 2] (NaN where the detector has none), or None."""


def marked(file: str) -> list[tuple[str, np.ndarray]]:
    """Read the marks: name and points [6, 2], NaN where hidden."""
    rows = json.loads(Path(file).read_text())
    return [(r["file"], np.array([r["points"][k] or [np.nan] * 2 for k in POINTS], np.float64)) for r in rows]


def errors(found: np.ndarray | None, marks: np.ndarray) -> dict[str, float]:
    """Return the distances of eyes, nose, mouth, standing and hanging ears, in eye distances; infinite where nothing is found."""
    distance = float(np.hypot(*(marks[1] - marks[0])))
    away = np.full(6, np.inf) if found is None else np.hypot(*(found - marks).T) / distance
    away = np.where(np.isnan(marks[:, 0]), np.nan, away)
    across = (marks[1] - marks[0]) / distance
    below = (marks[4:] - marks[:2]) @ np.array([-across[1], across[0]]) > 0
    ears, hanging = np.where(below, np.nan, away[4:]), np.where(below, away[4:], np.nan)
    return {
        "eyes": float(np.mean(away[:2])),
        "nose": float(away[2]),
        "mouth": float(away[3]),
        "ears": _mean(ears),
        "hanging_ears": _mean(hanging),
        "worst": float(away[:3].max()),
    }


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values[~np.isnan(values)])) if (~np.isnan(values)).any() else float("nan")


def summary(species: str, rows: list[dict[str, float]]) -> dict[str, float | str | None]:
    """Summarise the faces of one species."""
    line: dict[str, float | str | None] = {"species": species, "n": len(rows)}
    for name in ("eyes", "nose", "mouth", "ears", "hanging_ears"):
        values = np.array([row[name] for row in rows])
        values = values[np.isfinite(values)]
        line[f"median_{name}"] = round(float(np.median(values)), 3) if len(values) else None
    line["within_0.25"] = round(float(np.mean([row["worst"] <= NEAR for row in rows])), 3)
    line["found"] = round(float(np.mean([np.isfinite(row["worst"]) for row in rows])), 3)
    return line


def by_network(networks: Mapping[int, AnimalHeads], folds: Mapping[str, int]) -> Locate:
    """Locate with the network of each photograph's fold, which did not see it (-1: one network for all)."""

    def locate(name: str, picture: Picture) -> np.ndarray | None:
        heads = networks[folds.get(name, -1)].find(picture)
        return heads[0].points if heads else None

    return locate


def by_yunet(folder: str) -> Locate:
    """Locate with the detector of people's faces as `curate` did before: five points, of which the mouth's two give one."""
    detector = YuNet(weights.load(folder, "yunet"))

    def locate(name: str, picture: Picture) -> np.ndarray | None:
        found = detector.detect(picture, "animal")
        if not found:
            return None
        points = found[0].keypoints
        return np.concatenate([points[:3], points[3:].mean(0, keepdims=True), np.full((2, 2), np.nan)])

    return locate


def placed(picture: Picture, marks: np.ndarray, times: int) -> tuple[Picture, np.ndarray]:
    """Put a photograph into the middle of a grey one whose sides are `times` as long: its head is that much smaller in it."""
    if times == 1:
        return picture, marks
    height, width = picture.shape[:2]
    canvas = np.full((height * times, width * times, 3), 128, np.uint8)
    top, left = (height * times - height) // 2, (width * times - width) // 2
    canvas[top : top + height, left : left + width] = picture
    return canvas, marks + np.array([left, top])


def measure(photos: str, marks: Iterable[tuple[str, np.ndarray]], locate: Locate, times: int) -> dict[str, list]:
    """Measure every photograph whose eyes and nose are marked, by species (the folder that it lies in)."""
    rows: dict[str, list[dict[str, float]]] = {}
    for name, points in marks:
        if np.isnan(points[:3]).any():
            continue
        picture, points = placed(codec.decode(uris.read_bytes(uris.join(photos, name))), points, times)
        rows.setdefault(name.split("/")[-2], []).append(errors(locate(name, picture), points))
    return rows


def load_folds(folder: str) -> tuple[dict[int, AnimalHeads], dict[str, int]]:
    """Read `folds.json` (name -> fold) and the networks `fold0.safetensors` … that are there."""
    folds = json.loads((Path(folder) / "folds.json").read_text())
    files = {k: Path(folder) / f"fold{k}.safetensors" for k in sorted(set(folds.values()))}
    return {k: AnimalHeads(load_network(f.read_bytes())) for k, f in files.items() if f.exists()}, folds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.animal_landmarks", description=__doc__)
    parser.add_argument("--photos", required=True)
    parser.add_argument("--points", required=True, help="marks as animal_keypoints.json")
    parser.add_argument("--detector", choices=("network", "yunet"), default="network")
    parser.add_argument("--weights", default="", help="folder of networks (empty: the shipped ones)")
    parser.add_argument("--network", default="", help="a file of the network other than the shipped")
    parser.add_argument(
        "--folds", default="", help="folder of folds.json and fold0.safetensors …: each judged on what it did not see"
    )
    parser.add_argument("--only", default="", help="species, comma between")
    parser.add_argument(
        "--times", type=int, default=1, help="put each photograph into one whose sides are this many times as long"
    )
    args = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    marks = marked(args.points)
    if args.only:
        marks = [m for m in marks if m[0].split("/")[-2] in args.only.split(",")]
    if args.detector == "yunet":
        locate = by_yunet(args.weights)
    elif args.folds:
        networks, folds = load_folds(args.folds)
        marks = [m for m in marks if folds.get(m[0]) in networks]
        locate = by_network(networks, folds)
    else:
        data = Path(args.network).read_bytes() if args.network else weights.load(args.weights, "animal_landmarks")
        locate = by_network({-1: AnimalHeads(load_network(data))}, {})
    rows = measure(args.photos, marks, locate, args.times)
    for species in sorted(rows):
        print(json.dumps(summary(species, rows[species])), flush=True)
    print(json.dumps(summary("all", [row for of_one in rows.values() for row in of_one])))


if __name__ == "__main__":
    main()
