"""Whether a face that was found in an animal's photograph is a person's, its owner's: a judgement of an identity network's vector.

MobileFaceNet where a folder gives it, else dlib's network, which ships.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from rupantara.faces.chips import arcface_chip, dlib_chip
from rupantara.models.pretrained import load_dlib_identity, load_embed
from rupantara.storage import weights
from rupantara.types import Picture

# fmt: off
WEIGHTS = (
    -3.19, -1.06, -3.59, -0.61, 2.80, -1.57, 2.15, -0.48, 4.24, -1.05, -0.03, -2.38, 0.20, 0.70, -1.68, 2.01, -2.30,
    0.69, 0.85, -0.97, -3.09, 1.91, -1.01, -2.17, 3.39, 0.42, -3.33, 0.30, -1.57, -0.78, -0.81, -1.76, -2.68, 1.44,
    0.36, 1.15, 3.21, -0.81, -0.31, -3.21, -0.50, -0.89, 1.14, 0.12, -1.34, 1.55, -0.31, -0.80, 1.76, 0.83, 0.68,
    -0.04, 1.37, 3.14, -1.24, -0.70, -2.51, 1.53, 0.42, 1.99, -1.52, 1.95, -3.99, 1.43, 0.30, -2.20, -1.53, 2.56,
    2.09, -2.16, -1.99, 2.81, 3.42, -0.56, 1.10, 0.41, 1.18, 2.63, -1.01, -2.45, 2.95, -0.47, 0.01, -0.25, -0.73,
    4.48, -1.33, 2.71, -0.50, 3.85, -0.94, -1.18, -1.73, 2.07, -3.07, -0.21, -2.98, -0.36, 4.24, 4.06, 3.89, 3.25,
    0.41, -2.57, -2.19, -0.91, -2.44, -4.82, 0.91, 1.62, -0.80, -1.20, -0.27, 2.62, -4.58, -2.71, -3.20, 0.25, -1.77,
    -0.33, 1.33, -3.98, 3.59, -0.54, 0.54, -0.85, 0.49, -3.35, 0.47,
)
# fmt: on
BIAS = 1.32
"""Logistic regression of what `describe` returns, fitted by benchmarks/people_among_animals.py on 9,230 people of LFW and UTKFace and 2,959
heads of eight species, owners among them."""

# fmt: off
DLIB_WEIGHTS = (
    -3.31, -2.86, -5.90, -3.07, 5.80, 10.76, 6.94, -7.94, -3.01, 2.35, -0.21, -3.67, 16.74, 0.75, -5.99, -11.44,
    -7.23, -4.68, 12.56, 13.32, 3.26, -12.91, -2.47, 7.23, -8.27, 2.67, 15.77, -1.21, -3.34, 5.14, -2.06, -0.98,
    14.98, -4.92, 4.28, -0.06, 1.22, 18.99, -6.22, 1.67, 11.50, 3.54, -11.46, -11.32, -10.36, 7.58, 12.05, -5.63,
    1.48, 4.29, 11.94, -19.46, 1.72, -12.83, -2.93, 11.39, -10.35, -11.04, 7.02, 2.10, -3.23, 1.86, 11.01, 21.08,
    -17.79, -5.35, 14.40, 19.29, -0.72, 18.14, -1.56, -17.69, 16.30, 10.06, 10.41, -7.94, -20.94, -19.61, 1.66, -3.17,
    4.32, 6.03, 3.38, -9.72, -0.55, -7.57, 0.58, -3.30, -12.97, 4.94, -7.77, -20.08, 5.86, -2.21, 15.25, 14.13, 4.96,
    2.14, -3.68, 1.56, -1.87, 15.27, -10.81, -14.45, 3.39, -3.50, -2.45, -6.69, -4.05, -12.00, -2.12, 5.68, -9.32,
    12.08, -15.45, -13.83, 0.61, -2.04, -0.61, -22.03, 13.87, 1.55, 12.12, 5.33, 5.49, 1.18, -2.52, -5.03, 7.75,
)
# fmt: on
DLIB_BIAS = 55.85
"""The same of dlib's vectors, fitted on 2,005 people and 2,927 heads: 99.8 % of people are taken for people, and 17 heads."""


@dataclass(frozen=True)
class Embedding:
    """An identity network, how a face is cut for it, and the regression of what it says."""

    network: Callable[[torch.Tensor], torch.Tensor]
    chip: Callable[[Picture, np.ndarray], Picture]
    weights: tuple[float, ...]
    bias: float


def judge_name(folder: str) -> str:
    """Return the catalogue's name of the network that judges."""
    return "mobilefacenet" if weights.has(folder, "mobilefacenet") else "face_recognition"


def load_embedding(folder: str) -> Embedding:
    """Load `mobilefacenet.npz` from a folder that has it, else dlib's network."""
    if judge_name(folder) == "mobilefacenet":
        return Embedding(load_embed(folder), arcface_chip, WEIGHTS, BIAS)
    return Embedding(load_dlib_identity(folder), dlib_chip, DLIB_WEIGHTS, DLIB_BIAS)


class PersonJudge:
    """Photograph and the keypoints of its faces -> log-odds that each is a person's."""

    def __init__(self, folder: str = "") -> None:
        """Load `mobilefacenet.npz` from a folder or bucket, or dlib's network."""
        self._by = load_embedding(folder)

    @torch.no_grad()
    def __call__(self, picture: Picture, faces: Sequence[np.ndarray]) -> np.ndarray:
        """Judge faces by their keypoints [5, 2] in pixels of the photograph; points that no face can have are no person's: -inf."""
        out = np.full(len(faces), -np.inf)
        sound = [
            i
            for i, points in enumerate(faces)
            if np.isfinite(points).all() and len(np.unique(points, axis=0)) == len(points)
        ]
        if sound:
            chips = np.stack([self._by.chip(picture, faces[i]) for i in sound])
            vectors = self._by.network(torch.from_numpy(chips).permute(0, 3, 1, 2).float())
            out[sound] = describe(vectors.numpy()) @ np.array(self._by.weights) + self._by.bias
        return out


def describe(vectors: np.ndarray) -> np.ndarray:
    """Return what is judged of an identity network's vectors [n, 128] as it gives them: direction, then length: [n, 129].

    Vectors of what is no person's face are short (compare MagFace, Meng et al., 2021, which trains lengths to mean quality).
    """
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.concatenate([vectors / np.maximum(length, 1e-12), length], axis=1)
