"""Ways to make a face out of a vector, as an evaluation compares them: the decoders, table 2's ablations, and three baselines."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import safetensors.numpy
import torch
from torch import Tensor

from rupantara import schema
from rupantara.generation import decoder_loading
from rupantara.models.face_decoder import FaceDecoder, lay
from rupantara.models.spline_warp import DegenerateError
from rupantara.stages.decoder_rows import landmarks_of, pictures_of, usable, vectors_of
from rupantara.stages.faces import to_images
from rupantara.storage import tables, uris
from rupantara.tensors import Images, PointSets
from rupantara.training.ridge import RidgeSums

MOST_RANK = 512
"""The ridge regression of vectors of more numbers is cut to this rank."""

COLUMNS = ("face_id", "domain", "split", schema.LANDMARKS, "texture", "crop")


class Face(NamedTuple):
    """Pictures, and where their landmarks are (px of SIDE; None where the method does not tell)."""

    images: Images
    points: PointSets | None


Method = Callable[[Tensor, list[str]], Face]
"""Vectors [n, dim] and the face ids to faces."""


def fit_baselines(features: str, vector: str, side: int, held: frozenset[str], uri: str) -> dict[str, float]:
    """Fit mean face and ridge regressions on the train split, find the held-out faces' nearest, write all as safetensors.

    Penalties are chosen on the validation split. Returns what was fitted: faces, penalties.
    """
    texture, points, crops, count = None, None, 0.0, 0
    vectors, ids, asked, asked_ids, val = [], [], [], [], []
    for part in tables.read_parts(features, (*COLUMNS, vector), schema="features"):
        rows = usable(part, (vector, schema.LANDMARKS, "texture", "crop"), "train")
        for batch in (rows.slice(start, 256) for start in range(0, rows.num_rows, 256)):
            x, y = vectors_of(batch, vector), _flat(pictures_of(batch, "texture", side))
            texture = texture or RidgeSums.empty(x.shape[1], y.shape[1])
            points = points or RidgeSums.empty(x.shape[1], 136)
            texture.update(x, y)
            points.update(x, landmarks_of(batch).reshape(-1, 136))
            crops, count = crops + pictures_of(batch, "crop", side).sum(0, dtype=np.float64), count + batch.num_rows
            vectors.append(x)
            ids += batch["face_id"].to_pylist()
        tested = schema.where_id(usable(part, (vector,), ""), held)
        asked.append(vectors_of(tested, vector))
        asked_ids += tested["face_id"].to_pylist()
        val.append(usable(part, (vector, schema.LANDMARKS, "texture"), "val"))
    assert texture is not None and points is not None
    fitted = pa.concat_tables(val).slice(0, 512)
    x, rank = vectors_of(fitted, vector), min(vectors[0].shape[1], MOST_RANK)
    stored: dict[str, np.ndarray] = {"mean_face": np.round(crops / count).astype(np.uint8)}
    about: dict[str, float] = {"train_faces": count}
    for name, sums, y in (
        ("texture", texture, _flat(pictures_of(fitted, "texture", side))),
        ("points", points, landmarks_of(fitted).reshape(-1, 136)),
    ):
        ridge, about[f"{name}_penalty"] = sums.fit(x, y)
        down, up = sums.reduced(ridge, rank)
        stored |= {f"{name}.down": down, f"{name}.up": up, f"{name}.mean": ridge.mean_target}
        stored["vector_mean"] = ridge.mean_vector
    near = nearest(np.concatenate(asked), np.concatenate(vectors))
    stored |= _lent(features, side, {i: ids[j] for i, j in zip(asked_ids, near, strict=True)})
    stored["held"] = np.frombuffer(",".join(asked_ids).encode(), np.uint8)
    stored = {n: np.ascontiguousarray(v, v.dtype if v.dtype == np.uint8 else np.float32) for n, v in stored.items()}
    uris.write_bytes(uri, safetensors.numpy.save(stored))
    return about


def nearest(vectors: np.ndarray, among: np.ndarray) -> list[int]:
    """Return for each row the row of `among` at the greatest cosine."""
    unit = [rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12) for rows in (vectors, among)]
    return (unit[0] @ unit[1].T).argmax(1).tolist()


def _lent(features: str, side: int, pairs: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Read crop and landmarks of each held-out face's nearest train face, in the order of `pairs`."""
    wanted, found = frozenset(pairs.values()), {}
    for part in tables.read_parts(features, ("face_id", "crop", schema.LANDMARKS), schema="features"):
        rows = schema.where_id(part, wanted)
        found |= dict(
            zip(
                rows["face_id"].to_pylist(),
                zip(pictures_of(rows, "crop", side), landmarks_of(rows), strict=True),
                strict=True,
            )
        )
    lent = [found[name] for name in pairs.values()]
    return {"nearest": np.stack([crop for crop, _ in lent]), "nearest_points": np.stack([points for _, points in lent])}


def _flat(pictures: np.ndarray) -> np.ndarray:
    return to_images(pictures).flatten(1).numpy()


@dataclass(frozen=True)
class Baselines:
    """What `fit_baselines` wrote; `order` is the row of each held-out face's nearest."""

    stored: Mapping[str, Tensor]
    order: Mapping[str, int]

    @staticmethod
    def load(uri: str) -> "Baselines":
        """Read it."""
        stored = {name: torch.from_numpy(v) for name, v in safetensors.numpy.load(uris.read_bytes(uri)).items()}
        held = stored.pop("held").numpy().tobytes().decode().split(",")
        return Baselines(stored, {name: i for i, name in enumerate(held)})

    def mean_face(self, vectors: Tensor, face_ids: list[str]) -> Face:
        """Return the mean of the train faces, whatever the vector."""
        image = to_images(self.stored["mean_face"].numpy()[None])
        points = self.stored["points.mean"].view(1, 68, 2)
        return Face(image.expand(len(vectors), -1, -1, -1), points.expand(len(vectors), -1, -1))

    def nearest(self, vectors: Tensor, face_ids: list[str]) -> Face:
        """Return the train face whose vector is nearest."""
        rows = [self.order[face_id] for face_id in face_ids]
        return Face(to_images(self.stored["nearest"].numpy()[rows]), self.stored["nearest_points"][rows])

    def ridge(self, vectors: Tensor, face_ids: list[str]) -> Face:
        """Return the texture and the landmarks that ridge regressions predict, joined by the warp."""
        centred, s = vectors - self.stored["vector_mean"], self.stored
        texture, flat = (centred @ s[f"{n}.down"] @ s[f"{n}.up"] + s[f"{n}.mean"] for n in ("texture", "points"))
        side, points = self.stored["mean_face"].shape[0], flat.view(-1, 68, 2)
        textures = texture.view(-1, 3, side, side).clamp(-1, 1)
        return Face(lay(textures, points, s["points.mean"].view(68, 2)), points)


def methods(checkpoint: str, baselines: Baselines) -> dict[str, Method]:
    """Name every method of a folder of jobs.train_decoder, and the baselines."""
    found: dict[str, Method] = {}
    parts = decoder_loading.parts_of(checkpoint)
    if {"landmarks", "texture"} <= set(parts):
        face = decoder_loading.load_face(checkpoint).model
        found["full"] = lambda vectors, _: _face(face, vectors)
        found["without_warp"] = lambda vectors, _: _unwarped(face, vectors)
    for part in ("joint", "single"):
        if part in parts:
            model = decoder_loading.load(parts[part]).model
            found[part] = lambda vectors, _, m=model: (
                _face(m, vectors) if isinstance(m, FaceDecoder) else Face(m(vectors), None)
            )
    return found | {"ridge": baselines.ridge, "nearest": baselines.nearest, "mean_face": baselines.mean_face}


def _face(model: FaceDecoder, vectors: Tensor) -> Face:
    try:
        points, _, images = model(vectors)
    except DegenerateError:
        return _unwarped(model, vectors)
    return Face(images, points)


def _unwarped(model: FaceDecoder, vectors: Tensor) -> Face:
    textures = model.texture(vectors)
    return Face(textures, model.texture.mean_points.expand(len(vectors), -1, -1))
