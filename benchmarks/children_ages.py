"""Ages judged: children of held-out pairs shown at 5, 10 and 20, by face-api's network of age, which no edit saw; and siblings' likeness.

    python -m benchmarks.children_ages --faces FACES --codec pretrained/region_vae --blender pretrained/blender --edits pretrained/edits

Ages rise where the judged ages of the three pictures of one child do. Identity is dlib's distance: of a child at an age to itself
unedited, of two siblings, and of children of different pairs (the null).
"""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import tyro

from benchmarks.children import dlib_chips
from rupantara.faces.couples import People, accepted_of
from rupantara.generation import child_loading, edits
from rupantara.generation.child import ChildGenerator, ChildRequest
from rupantara.imaging import codec as pictures
from rupantara.models import age_sex, dlib_identity
from rupantara.reports.grids import grid
from rupantara.stages.generate import crops_of
from rupantara.storage import weights

AGES = (5.0, 10.0, 20.0)
CORNER, SIDE = (0.187, 0.307), 0.651
"""The square of face-api's crop in the aligned crop: 1.1 times the longer side of the box of the mean of people's 68 points."""


@dataclass(frozen=True)
class Config:
    """What is measured."""

    faces: str
    codec: str
    blender: str
    edits: str
    pairs: int = 100
    seed: int = 0
    threads: int = 2
    out: Path = Path("benchmarks/children_ages")
    sheet: str = ""
    """Where a sheet of the first pairs goes: parents | child | siblings | ages."""
    shown: int = 20
    rule: str = "any"


@torch.inference_mode()
def judged(net: age_sex.AgeSex, shown: list[np.ndarray]) -> np.ndarray:
    """Return the judged ages of aligned pictures."""
    size = shown[0].shape[0]
    scale = age_sex.SIDE / (SIDE * size)
    matrix = np.array([[scale, 0, -scale * CORNER[0] * size], [0, scale, -scale * CORNER[1] * size]])
    cut = np.stack([cv2.warpAffine(one, matrix, (age_sex.SIDE,) * 2, borderMode=cv2.BORDER_REPLICATE) for one in shown])
    return net(torch.from_numpy(cut).permute(0, 3, 1, 2).float())[0].numpy()


@torch.inference_mode()
def main(config: Config) -> None:
    """Make the families pair by pair and judge them."""
    torch.set_num_threads(config.threads)
    loaded = child_loading.load(config.blender, config.codec)
    generator = ChildGenerator(loaded, edits.load(config.edits))
    net = age_sex.from_published(weights.arrays("", "age_gender"))
    dlib = dlib_identity.from_published(weights.arrays("", "face_recognition"))
    couples = list(People(config.faces).drawn(config.pairs, config.rule, "test", config.seed))
    ages, vectors, rows = [], [], []
    kept: dict[str, object] = {}
    for couple in couples:
        both = []
        for name in ("first", "second"):
            file = couple[f"{name}_file"]
            kept[file] = kept.get(file) or accepted_of(config.faces, file, ("face_id", "image", "landmarks"))
            table = kept[file]
            place = table["face_id"].to_pylist().index(couple[name])  # ty: ignore[not-subscriptable]
            both.append(crops_of(table.slice(place, 1))[0])  # ty: ignore[unresolved-attribute]
        request = ChildRequest(both[0], both[1], siblings=3, ages=AGES, seed=config.seed)
        made = [one.picture for one in generator.generate([request])[0] if one.picture is not None]
        ages.append(judged(net, made[-3:]))
        vectors.append(dlib(torch.from_numpy(dlib_chips(np.stack(made))).permute(0, 3, 1, 2).float()).numpy())
        if len(rows) < config.shown:
            plain = ChildRequest(both[0], both[1], variation=0.0, seed=config.seed)
            child = generator.generate([plain])[0][0].picture
            rows.append([*(pictures.resize(face.picture, 256) for face in both), child, *made])
    found = summary(np.array(ages), np.array(vectors)) | {"pairs": config.pairs, "seed": config.seed}
    print(json.dumps(found))
    config.out.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")
    if config.sheet:
        titles = ["first", "second", "child", *(f"sibling {i}" for i in range(3)), *(f"age {a:g}" for a in AGES)]
        Path(config.sheet).write_bytes(pictures.encode_jpeg(grid(rows, titles, 112)))


def summary(ages: np.ndarray, vectors: np.ndarray) -> dict[str, object]:
    """Return the judged ages' means, the share of children whose ages rise, and distances of identity."""
    rising = (ages[:, 0] < ages[:, 1]) & (ages[:, 1] < ages[:, 2])
    first, other = vectors[:, 0], vectors[:, 1]
    out: dict[str, object] = {
        "judged_mean": dict(zip(map(str, AGES), ages.mean(0).round(1).tolist(), strict=True)),
        "judged_median": dict(zip(map(str, AGES), np.median(ages, axis=0).round(1).tolist(), strict=True)),
        "rising": float(rising.mean()),
        "dlib_siblings": float(np.linalg.norm(first - other, axis=1).mean()),
        "dlib_other_pairs": float(np.linalg.norm(first - np.roll(other, 1, axis=0), axis=1).mean()),
    }
    for k, age in enumerate(AGES):
        out[f"dlib_at_{age:g}"] = float(np.linalg.norm(first - vectors[:, 3 + k], axis=1).mean())
    return out


if __name__ == "__main__":
    main(tyro.cli(Config))
