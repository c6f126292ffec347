"""Ways to make a face out of a vector, as an evaluation compares them: the decoders, table 2's ablations, and three baselines."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from rupantara.evaluation.inversion_baselines import FaceFromVector, InversionBaselines
from rupantara.generation import decoder_loading
from rupantara.models.face_decoder import FaceDecoder
from rupantara.models.spline_warp import DegenerateError

Inverter = Callable[[Tensor, list[str]], FaceFromVector]
"""Vectors [n, dim] and the face ids to faces."""


def methods(checkpoint: str, baselines: InversionBaselines) -> dict[str, Inverter]:
    """Name every method of a folder of jobs.train_decoder, and the baselines."""
    found: dict[str, Inverter] = {}
    parts = decoder_loading.parts_of(checkpoint)
    if {"landmarks", "texture"} <= set(parts):
        face = decoder_loading.load_face(checkpoint).model
        found["full"] = partial(warped, face)
        found["without_warp"] = partial(unwarped, face)
    for part in ("joint", "single"):
        if part in parts:
            model = decoder_loading.load(parts[part]).model
            found[part] = partial(warped, model) if isinstance(model, FaceDecoder) else partial(_whole, model)
    found |= {"ridge": partial(_by_rows, baselines.ridge, baselines.mean_face)}
    return found | {"nearest": baselines.nearest, "mean_face": baselines.mean_face}


def warped(model: FaceDecoder, vectors: Tensor, face_ids: list[str]) -> FaceFromVector:
    """Decode and warp; a face whose predicted landmarks allow no warp is left where the mean face is."""

    def decode(some: Tensor, _: list[str]) -> FaceFromVector:
        points, _, images = model(some)
        return FaceFromVector(images, points)

    return _by_rows(decode, partial(unwarped, model), vectors, face_ids)


def unwarped(model: FaceDecoder, vectors: Tensor, face_ids: list[str]) -> FaceFromVector:
    """Decode the texture alone: its landmarks are the mean face's."""
    return FaceFromVector(model.texture(vectors), model.texture.mean_points.expand(len(vectors), -1, -1))


def _whole(model: torch.nn.Module, vectors: Tensor, face_ids: list[str]) -> FaceFromVector:
    return FaceFromVector(model(vectors), None)


def _by_rows(method: Inverter, instead: Inverter, vectors: Tensor, face_ids: list[str]) -> FaceFromVector:
    """Run a method on all rows, or where one row's points are degenerate on each alone, and `instead` on that one."""
    try:
        return method(vectors, face_ids)
    except DegenerateError:
        if len(vectors) == 1:
            return instead(vectors, face_ids)
    rows = [_by_rows(method, instead, vectors[i : i + 1], face_ids[i : i + 1]) for i in range(len(vectors))]
    points = [row.points for row in rows if row.points is not None]
    return FaceFromVector(torch.cat([row.images for row in rows]), torch.cat(points))
