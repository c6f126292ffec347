"""The three baselines that a decoder of faces has to beat: mean face, nearest train face, ridge regression."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import safetensors.numpy
import torch
from torch import Tensor

from rupantara import schema
from rupantara.errors import UserError
from rupantara.faces.arrays import to_images
from rupantara.models.face_decoder import lay
from rupantara.storage import tables, uris
from rupantara.tensors import Images, PointSets
from rupantara.training.choice import distinct
from rupantara.training.decoder_rows import landmarks_of, pictures_of, usable, vectors_of
from rupantara.training.ridge import RidgeSums

MOST_RANK, MOST_VALIDATION = 512, 512
"""Rank of the ridge regressions at most, and faces that their penalties are chosen on."""

COLUMNS = ("face_id", "domain", "split", schema.LANDMARKS, "texture", "crop")


class FaceFromVector(NamedTuple):
    """Pictures, and where their landmarks are (px of SIDE; None where the method does not tell)."""

    images: Images
    points: PointSets | None


@dataclass
class _Sums:
    """What one pass over the train split collects."""

    side: int
    vector: str
    count: int = 0
    texture: RidgeSums | None = None
    points: RidgeSums | None = None
    crops: np.ndarray = field(default_factory=lambda: np.zeros(()))
    vectors: list[np.ndarray] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)

    def add(self, rows: pa.Table) -> None:
        """Add train faces."""
        x, y = vectors_of(rows, self.vector), _flat(pictures_of(rows, "texture", self.side))
        self.texture = self.texture or RidgeSums.empty(x.shape[1], y.shape[1])
        self.points = self.points or RidgeSums.empty(x.shape[1], 136)
        self.texture.update(x, y)
        self.points.update(x, landmarks_of(rows).reshape(-1, 136))
        self.crops = self.crops + pictures_of(rows, "crop", self.side).sum(0, dtype=np.float64)
        self.count += len(x)
        self.vectors.append(x)
        self.ids += rows["face_id"].to_pylist()


def fit_baselines(
    features: str, vector: str, side: int, held: frozenset[str], mean: Sequence[float], uri: str
) -> dict[str, float]:
    """Fit mean face and ridge regressions on the train split, find the held-out faces' nearest, write all as safetensors.

    Penalties are chosen on the validation split; UserError where it, or the train split, is empty. `mean` is where textures have
    their landmarks. Returns what was fitted: faces, penalties.
    """
    sums, asked, val = _Sums(side, vector), [], []
    for part in tables.read_parts(features, (*COLUMNS, vector), schema="features"):
        for rows in _slices(usable(part, (vector, schema.LANDMARKS, "texture", "crop"), "train")):
            sums.add(rows)
        asked.append(schema.where_id(usable(part, (vector,), ""), held).select(["face_id", vector]))
        room = MOST_VALIDATION - sum(rows.num_rows for rows in val)
        val.append(usable(part, (vector, schema.LANDMARKS, "texture"), "val").slice(0, room))
    fitted, asked_rows = pa.concat_tables(val), distinct(pa.concat_tables(asked))
    if sums.texture is None or sums.points is None or sums.count < 2 or not fitted.num_rows:
        raise UserError(
            f"{features} must hold humans with {vector}, texture and crop in train and val, got {sums.count} and {fitted.num_rows}"
        )
    stored = {"mean_face": np.round(sums.crops / sums.count).astype(np.uint8), "mean_points": np.asarray(mean)}
    about: dict[str, float] = {"train_faces": sums.count}
    x, rank = vectors_of(fitted, vector), min(sums.vectors[0].shape[1], MOST_RANK)
    for name, own, y in (
        ("texture", sums.texture, _flat(pictures_of(fitted, "texture", side))),
        ("points", sums.points, landmarks_of(fitted).reshape(-1, 136)),
    ):
        found, about[f"{name}_penalty"] = own.fit(x, y, rank)
        stored |= {f"{name}.{key}": value for key, value in found._asdict().items()}
    near = nearest(vectors_of(asked_rows, vector), np.concatenate(sums.vectors))
    ids = asked_rows["face_id"].to_pylist()
    stored |= _lent(features, side, [sums.ids[j] for j in near])
    stored["held"] = np.frombuffer(",".join(ids).encode(), np.uint8)
    stored = {n: np.ascontiguousarray(v, v.dtype if v.dtype == np.uint8 else np.float32) for n, v in stored.items()}
    uris.write_bytes(uri, safetensors.numpy.save(stored))
    return about


def _slices(rows: pa.Table, size: int = 256) -> Iterator[pa.Table]:
    yield from (rows.slice(start, size) for start in range(0, rows.num_rows, size))


def nearest(vectors: np.ndarray, among: np.ndarray) -> list[int]:
    """Return for each row the row of `among` at the greatest cosine."""
    unit = [rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12) for rows in (vectors, among)]
    return (unit[0] @ unit[1].T).argmax(1).tolist()


def _lent(features: str, side: int, wanted: Sequence[str]) -> dict[str, np.ndarray]:
    """Read crops and landmarks of some train faces, in the order given."""
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for part in tables.read_parts(features, COLUMNS, schema="features"):
        rows = usable(schema.where_id(part, frozenset(wanted)), (schema.LANDMARKS, "crop"), "train")
        pairs = zip(pictures_of(rows, "crop", side), landmarks_of(rows), strict=True)
        found |= dict(zip(rows["face_id"].to_pylist(), pairs, strict=True))
    crops, points = zip(*(found[name] for name in wanted), strict=True)
    return {"nearest": np.stack(crops), "nearest_points": np.stack(points)}


def _flat(pictures: np.ndarray) -> np.ndarray:
    return to_images(pictures).flatten(1).numpy()


@dataclass(frozen=True)
class InversionBaselines:
    """What `fit_baselines` wrote; `order` is the row of each held-out face's nearest."""

    stored: Mapping[str, Tensor]
    order: Mapping[str, int]

    @staticmethod
    def load(uri: str) -> "InversionBaselines":
        """Read it."""
        stored = {name: torch.from_numpy(v) for name, v in safetensors.numpy.load(uris.read_bytes(uri)).items()}
        held = stored.pop("held").numpy().tobytes().decode().split(",")
        return InversionBaselines(stored, {name: i for i, name in enumerate(held)})

    def mean_face(self, vectors: Tensor, face_ids: list[str]) -> FaceFromVector:
        """Return the mean of the train faces, whatever the vector."""
        image = to_images(self.stored["mean_face"].numpy()[None])
        points = self.stored["mean_points"].view(1, 68, 2)
        return FaceFromVector(image.expand(len(vectors), -1, -1, -1), points.expand(len(vectors), -1, -1))

    def nearest(self, vectors: Tensor, face_ids: list[str]) -> FaceFromVector:
        """Return the train face whose vector is nearest."""
        rows = [self.order[face_id] for face_id in face_ids]
        return FaceFromVector(to_images(self.stored["nearest"].numpy()[rows]), self.stored["nearest_points"][rows])

    def ridge(self, vectors: Tensor, face_ids: list[str]) -> FaceFromVector:
        """Return the texture and the landmarks that ridge regressions predict, joined by the warp."""
        side = self.stored["mean_face"].shape[0]
        points = self._predict("points", vectors).view(-1, 68, 2)
        textures = self._predict("texture", vectors).view(-1, 3, side, side).clamp(-1, 1)
        return FaceFromVector(lay(textures, points, self.stored["mean_points"].view(68, 2)), points)

    def _predict(self, name: str, vectors: Tensor) -> Tensor:
        down, up, mean, goal = (self.stored[f"{name}.{key}"] for key in ("down", "up", "mean_vector", "mean_target"))
        return (vectors - mean) @ down @ up + goal
