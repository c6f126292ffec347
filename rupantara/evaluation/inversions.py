"""Faces from vectors on trial: the decoders of a folder, the other ways that were trained, and three baselines."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
import torch

from rupantara import schema
from rupantara.evaluation.inversion_baselines import InversionBaselines
from rupantara.evaluation.inverters import Inverter, methods
from rupantara.evaluation.protocol import Held, Made, Method
from rupantara.landmarks.texture import SIDE, rescale
from rupantara.tensors import to_images
from rupantara.training.choice import distinct
from rupantara.training.decoder_rows import landmarks_of, pictures_of, usable, vectors_of
from rupantara.training.decoders import keypoints_of

BATCH = 32


@dataclass(frozen=True)
class VectorSource:
    """Whose vectors are inverted: the features column, the side of the crops, the face ids and their split."""

    vector: str
    side: int
    chosen: frozenset[str]
    split: str


class InversionTrial:
    """Held-out people of a features table: their vectors for the methods, their crops and landmarks to measure against."""

    def __init__(self, checkpoint: str, baselines: str, source: VectorSource) -> None:
        """Load the methods."""
        self._source = source
        found = methods(checkpoint, InversionBaselines.load(baselines))
        self.methods: Mapping[str, Method] = {name: InverterOnTrial(method) for name, method in found.items()}

    def batches(self, rows: pa.Table) -> Iterator[Held]:
        """Yield the chosen faces."""
        source = self._source
        rows = usable(rows, (source.vector, schema.LANDMARKS, "crop"), source.split)
        rows = distinct(schema.where_id(rows, source.chosen))
        for start in range(0, rows.num_rows, BATCH):
            yield _held(rows.slice(start, BATCH), source)


def _held(rows: pa.Table, source: VectorSource) -> Held:
    landmarks = torch.from_numpy(landmarks_of(rows))
    return Held(
        rows,
        to_images(pictures_of(rows, "crop", source.side)),
        keypoints_of(rescale(landmarks, SIDE, source.side)),
        landmarks,
        vectors=torch.from_numpy(vectors_of(rows, source.vector)),
    )


class InverterOnTrial:
    """An inverter that answers with its faces."""

    def __init__(self, inverter: Inverter) -> None:
        """Take the inverter."""
        self._inverter = inverter

    def make(self, held: Held) -> Iterator[Made]:
        """Make each face out of its vector."""
        assert held.vectors is not None
        face = self._inverter(held.vectors, held.ids)
        yield Made(face.images, "inversion", points=face.points)
