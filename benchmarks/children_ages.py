"""Ages judged: children of held-out fathers and mothers shown at 5, 10 and 20, by face-api's network of age, which no edit saw.

    python -m benchmarks.children_ages --faces FACES --codec pretrained/region_vae --blender pretrained/blender --edits pretrained/edits \
        --sheet sheet.jpg

Ages rise where the judged ages of the three pictures of one child do. Identity is dlib's distance: of a child at an age to itself
unedited, of two siblings, and of children of different pairs (the null). A smile is judged by the expression network, whose labels taught
the edit, and by the width of the mouth in the 68 points of another network: with the edit at 1 and at -1. The sheet shows the first
pairs: father | mother | their average | ours | three siblings | ages.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
import tyro

from benchmarks.children import dlib_chips
from benchmarks.children_people import Crops, adults, couples
from rupantara.generation import child_loading, edits
from rupantara.generation.child import ChildGenerator, ChildRequest
from rupantara.imaging import codec as pictures
from rupantara.models import age_sex, dense_face, dlib_identity
from rupantara.reports.grids import grid
from rupantara.schema import EXPRESSIONS
from rupantara.storage import weights

AGES = (5.0, 10.0, 20.0)
TITLES = ("father", "mother", "average", "ours", *(f"sibling {i}" for i in (1, 2, 3)), *(f"age {a:g}" for a in AGES))
"""Columns of the sheet."""

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
    """Where a sheet of the first pairs goes: see above."""
    shown: int = 20
    side: int = 144
    """Side of a picture on the sheet, pixels."""
    variation: float = ChildRequest.variation
    """How far siblings differ."""
    smiles: bool = True
    """Judge the edit of a smile too."""


def face_squares(shown: list[np.ndarray]) -> torch.Tensor:
    """Cut the squares that face-api's networks take out of aligned pictures: [n, 3, 112, 112] in 0..255."""
    size = shown[0].shape[0]
    scale = age_sex.SIDE / (SIDE * size)
    matrix = np.array([[scale, 0, -scale * CORNER[0] * size], [0, scale, -scale * CORNER[1] * size]])
    cut = np.stack([cv2.warpAffine(one, matrix, (age_sex.SIDE,) * 2, borderMode=cv2.BORDER_REPLICATE) for one in shown])
    return torch.from_numpy(cut).permute(0, 3, 1, 2).float()


@torch.inference_mode()
def main(config: Config) -> None:
    """Make the families pair by pair and judge them."""
    torch.set_num_threads(config.threads)
    loaded = child_loading.load(config.blender, config.codec)
    generator = ChildGenerator(loaded, edits.load(config.edits))
    average = ChildGenerator(child_loading.untrained("average", loaded.codec))
    judges, drawn = Judges(), list(couples(adults(config.faces), config.pairs, config.seed))
    crops, ages, vectors, smiles, rows = Crops(config.faces), [], [], [], []
    for pair in drawn:
        both = crops.of(pair)
        request = ChildRequest(both[0], both[1], siblings=3, ages=AGES, seed=config.seed, variation=config.variation)
        plain = replace(request, siblings=1, ages=(), variation=0.0)
        moved = [replace(plain, edits=(f"smile={change}",)) for change in (-1, 1)] if config.smiles else []
        made = [[one.picture for one in family] for family in generator.generate([request, plain, *moved])]
        ages.append(judges.ages(made[0][-3:]))
        vectors.append(judges.identities([*made[0], *(pictures.resize(face.picture, 256) for face in both), *made[1]]))
        smiles += [judges.smiles([one[0] for one in made[2:]])] if moved else []
        if len(rows) < config.shown:
            mean = average.generate([plain])[0][0].picture
            rows.append([*(pictures.resize(face.picture, 256) for face in both), mean, *made[1], *made[0]])
            if config.sheet and len(rows) == min(config.shown, len(drawn)):
                Path(config.sheet).write_bytes(pictures.encode_jpeg(grid(rows, TITLES, config.side)))
    found = summary(np.array(ages), np.array(vectors)) | {"pairs": len(drawn), "seed": config.seed}
    found |= of_smiles(np.array(smiles)) if smiles else {}
    print(json.dumps(found))
    config.out.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")


class Judges:
    """The networks that look at aligned pictures; none of them saw a loss, and only the expressions taught an edit."""

    def __init__(self) -> None:
        self._age = age_sex.from_published(weights.arrays("", "age_gender"))
        self._dlib = dlib_identity.from_published(weights.arrays("", "face_recognition"))
        self._expression = dense_face.expression_from(weights.arrays("", "face_expression"))
        self._points = dense_face.landmarks_from(weights.arrays("", "face_landmark_68"))

    def ages(self, shown: list[np.ndarray]) -> np.ndarray:
        """Return the judged ages [n]."""
        return self._age(face_squares(shown))[0].numpy()

    def identities(self, shown: list[np.ndarray]) -> np.ndarray:
        """Return dlib's vectors [n, 128]."""
        return self._dlib(torch.from_numpy(dlib_chips(np.stack(shown))).permute(0, 3, 1, 2).float()).numpy()

    def smiles(self, shown: list[np.ndarray]) -> np.ndarray:
        """Return the probability of `happy`, and the mouth's width over the distance of the eyes' outer corners [n, 2]."""
        squares = face_squares(shown)
        happy = self._expression(squares).softmax(1)[:, EXPRESSIONS.index("happy")]
        points = self._points(squares).reshape(len(shown), 68, 2)
        mouth, eyes = ((points[:, a] - points[:, b]).norm(dim=1) for a, b in ((48, 54), (36, 45)))
        return torch.stack([happy, mouth / eyes], dim=1).numpy()


def of_smiles(found: np.ndarray) -> dict[str, object]:
    """Return means at -1 and at 1 of [pairs, 2, 2], and the share of children in whom both rise."""
    means = found.mean(0).round(3)
    return {
        "happy": dict(zip(("-1", "1"), means[:, 0].tolist(), strict=True)),
        "mouth_over_eyes": dict(zip(("-1", "1"), means[:, 1].tolist(), strict=True)),
        "smile_rising": float((found[:, 1] > found[:, 0]).all(1).mean()),
    }


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
    parents, child = vectors[:, 6:8], vectors[:, 8]
    out["dlib_child_to_parents"] = float(np.linalg.norm(parents - child[:, None], axis=2).mean())
    out["dlib_child_to_other_parents"] = float(
        np.linalg.norm(np.roll(parents, 1, axis=0) - child[:, None], axis=2).mean()
    )
    for k, age in enumerate(AGES):
        out[f"dlib_at_{age:g}"] = float(np.linalg.norm(first - vectors[:, 3 + k], axis=1).mean())
    return out


if __name__ == "__main__":
    main(tyro.cli(Config))
