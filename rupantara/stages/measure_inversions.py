"""Vectors of held-out faces to what each method makes of them, measured against the faces: rows of `schema.INVERSIONS`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from rupantara import schema
from rupantara.evaluation.inversion_baselines import Baselines, Face
from rupantara.evaluation.inverters import methods
from rupantara.evaluation.judges import Judges
from rupantara.faces.arrays import to_images, to_pictures
from rupantara.imaging import codec
from rupantara.landmarks.morph import hull_mask
from rupantara.landmarks.texture import SIDE, rescale
from rupantara.metrics.image import image_errors, masked_psnr
from rupantara.metrics.landmarks import landmark_errors
from rupantara.training.choice import distinct
from rupantara.training.decoder_rows import landmarks_of, pictures_of, usable, vectors_of
from rupantara.training.decoders import keypoints_of

BATCH = 32
SOURCE = "source"


@dataclass(frozen=True)
class Trial:
    """What is measured on what: decoders, vectors' column, pictures' side, face ids, judging networks' folder ("" = none)."""

    checkpoint: str
    baselines: str
    vector: str
    side: int
    chosen: frozenset[str]
    shown: frozenset[str]
    split: str
    weights: str = ""
    heads: bool = False


def hulls(points: Tensor, side: int) -> Tensor:
    """Return where each face is in its picture, the hull of its landmarks (px of SIDE): uint8 [n, side, side]; 0 where there is none."""
    return torch.from_numpy(np.stack([_hull(face, side) for face in rescale(points.numpy(), SIDE, side)]))


def _hull(points: np.ndarray, side: int) -> np.ndarray:
    try:
        return hull_mask(points, side, side)
    except ValueError:
        return np.zeros((side, side), np.uint8)


class MeasureInversions:
    """Batch of features -> `schema.INVERSIONS`, a row a chosen face and method."""

    def __init__(self, trial: Trial, threads: int = 1) -> None:
        """Load the methods and, where there are weights, the networks that judge."""
        torch.set_num_threads(threads)
        self._trial, self._methods = trial, methods(trial.checkpoint, Baselines.load(trial.baselines))
        self._judges = Judges(trial.weights, heads=trial.heads, identity=True) if trial.weights else None

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Measure the chosen faces of the batch."""
        rows = usable(batch, (self._trial.vector, schema.LANDMARKS, "crop"), self._trial.split)
        rows = distinct(schema.where_id(rows, self._trial.chosen))
        out: list[dict[str, Any]] = []
        for start in range(0, rows.num_rows, BATCH):
            with torch.inference_mode():
                out += self._measure(rows.slice(start, BATCH))
        return pa.Table.from_pylist(out, schema=schema.INVERSIONS)

    def _measure(self, rows: pa.Table) -> list[dict[str, Any]]:
        trial, ids = self._trial, rows["face_id"].to_pylist()
        true = torch.from_numpy(landmarks_of(rows))
        images = to_images(pictures_of(rows, "crop", trial.side))
        source, _ = self._judged(Face(images, true), true)
        out = self._rows(ids, SOURCE, images, source)
        vectors, masks = torch.from_numpy(vectors_of(rows, trial.vector)), hulls(true, trial.side)
        for name, method in self._methods.items():
            made = method(vectors, ids)
            values, identities = self._judged(made, true)
            values |= {key: value.tolist() for key, value in image_errors(made.images, images).items()}
            inside = masked_psnr(made.images, images, masks).tolist()
            values["face_psnr"] = [v if hull else None for v, hull in zip(inside, masks.flatten(1).any(1), strict=True)]
            if self._judges and identities is not None:
                values["lpips_caffe_squeezenet"] = self._judges.distance(made.images, images).tolist()
                own = torch.tensor(source["mobilefacenet"])
                values["identity"] = (identities * own).sum(1).tolist()
            if made.points is not None:
                found = landmark_errors(made.points.numpy(), true.numpy())
                values |= {"landmark_mse": found.squared.astype(np.float32).tolist(), "nme": found.nme.tolist()}
            out += self._rows(ids, name, made.images, values)
        return out

    def _judged(self, face: Face, true: Tensor) -> tuple[dict[str, list[Any]], Tensor | None]:
        """Return features and identity vectors of faces aligned by the landmarks that they have, or else by the true ones."""
        if not self._judges:
            return {}, None
        points = rescale(true if face.points is None else face.points, SIDE, face.images.shape[-1])
        vectors = self._judges.vectors(face.images, keypoints_of(points))
        features = self._judges.features(face.images).numpy().astype(np.float16)
        return {"mobilefacenet": vectors.tolist(), "squeezenet": list(features)}, vectors

    def _rows(
        self, ids: Sequence[str], method: str, images: Tensor, values: dict[str, list[Any]]
    ) -> list[dict[str, Any]]:
        out = []
        for i, face_id in enumerate(ids):
            row = {"face_id": face_id, "method": method} | {name: column[i] for name, column in values.items()}
            if face_id in self._trial.shown:
                row["image"] = codec.encode_png(to_pictures(images[i : i + 1])[0])
            out.append(row)
        return out
