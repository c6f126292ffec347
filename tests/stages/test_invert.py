"""Photographs to inversions: nothing is lost on the way."""

import json

import numpy as np
import pyarrow as pa
import pytest
import torch

from rupantara import schema
from rupantara.errors import Rejected, UserError
from rupantara.generation.decoder_loading import LoadedFaceDecoder
from rupantara.generation.inversion import InversionGenerator
from rupantara.landmarks.texture import SIDE
from rupantara.models.face_decoder import FaceDecoder, FaceDecoderConfig
from rupantara.models.landmark_decoder import LandmarkDecoder
from rupantara.models.texture_decoder import TextureDecoder, TextureDecoderConfig
from rupantara.stages.invert import InvertPhotos, InvertVectors
from rupantara.synthetic import draw_face

TINY = TextureDecoderConfig(input_dim=6, start_channels=8, channels=(8,), convolutions=(0,))


def loaded(spread: float = 0.0) -> LoadedFaceDecoder:
    """A decoder of random weights; with a spread a first number of 10 carries all landmarks beyond what float32 holds."""
    torch.manual_seed(0)
    mean = torch.from_numpy(np.asarray(draw_face("human", 0, size=SIDE).landmarks, np.float32))
    landmarks, texture = LandmarkDecoder(6, mean, ()), TextureDecoder(TINY)
    texture.mean_points.copy_(mean)
    if spread:
        last = landmarks.layers[-1]
        assert isinstance(last, torch.nn.Linear)
        with torch.no_grad():
            last.weight[:, 0] = spread
    model = FaceDecoder(landmarks, texture).eval().requires_grad_(False)
    return LoadedFaceDecoder(model, FaceDecoderConfig("texture", "any", texture=TINY), ("a" * 64, "b" * 64))


def vectors(rows: np.ndarray, names: list[str]) -> pa.Table:
    return pa.table({"face_id": names, "any": schema.vector_array(rows)})


def test_a_face_s_picture_does_not_depend_on_its_batch() -> None:
    rows = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    names = [f"face-{i}" for i in range(40)]
    stage = InvertVectors(lambda: InversionGenerator(loaded()))
    whole = stage(vectors(rows, names)).to_pylist()
    alone = [row for i in (0, 31, 39) for row in stage(vectors(rows[i : i + 1], names[i : i + 1])).to_pylist()]
    by_id = {row["request_id"]: row for row in whole}
    assert len(by_id) == 80
    assert [by_id[row["request_id"]]["parameters"] for row in alone] == [row["parameters"] for row in alone]


def test_one_face_without_a_warp_spoils_no_other() -> None:
    rows = np.ones((5, 6), np.float32)
    rows[:, 0] = 1e-39
    rows[2, 0] = 10.0
    found = InvertVectors(lambda: InversionGenerator(loaded(spread=3e38)))(vectors(rows, list("abcde"))).to_pylist()
    reasons = {
        row["face_ids"][0]: row["reject"] and row["reject"]["reason"] for row in found if row["kind"] == "inversion"
    }
    assert reasons == {"a": None, "b": None, "c": "degenerate_landmarks", "d": None, "e": None}


def test_vectors_of_another_scale_and_of_zeros_are_rejected() -> None:
    rows = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    rows[1] *= 100
    rows[3] = 0
    rows[4] /= 20
    found = InvertVectors(lambda: InversionGenerator(loaded()))(vectors(rows, list("abcde"))).to_pylist()
    reasons = {row["face_ids"][0]: (row["reject"] or {}).get("reason") for row in found}
    assert reasons == {"a": None, "b": "unlike", "c": None, "d": "zero", "e": "unlike"}


def test_vectors_of_another_length_are_refused() -> None:
    with pytest.raises(UserError, match=r"decoder's 6 numbers \(any\), got 7"):
        InvertVectors(lambda: InversionGenerator(loaded()))(vectors(np.zeros((2, 7), np.float32), ["a", "b"]))


def test_photographs_become_faces_and_what_is_refused_on_the_way_stays_a_row() -> None:
    faces = pa.Table.from_pylist(
        [
            {"face_id": "person", "domain": "human", "uri": "photos/person.jpg"},
            {"face_id": "fox", "domain": "animal"},
            {"face_id": "blur", "reject": Rejected("curate", "blurred", "").as_row()},
        ],
        schema=schema.FACES,
    )
    features = pa.table(
        {
            "face_id": ["person", "fox"],
            "any": pa.array([[0.5] * 6, None], pa.list_(pa.float32(), 6)),
        }
    )
    stage = InvertPhotos(
        lambda: lambda _: faces, lambda: lambda _: features, lambda: InvertVectors(lambda: InversionGenerator(loaded()))
    )
    made = stage(pa.table({}))
    told = {json.loads(row["parameters"]).get("uri") for row in made.to_pylist() if row["face_ids"] == ["person"]}
    assert told == {"photos/person.jpg"}
    assert int(made.schema.metadata[schema.ROWS_IN]) == made.num_rows == 4
    found = {(row["face_ids"][0], row["kind"], (row["reject"] or {}).get("reason")) for row in made.to_pylist()}
    assert found == {
        ("person", "texture", None),
        ("person", "inversion", None),
        ("fox", "inversion", "no_vector"),
        ("blur", "inversion", "blurred"),
    }
