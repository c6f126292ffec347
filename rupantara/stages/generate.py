"""Rows of the faces table, or numbers of people to sample, to hybrids."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import torch

from rupantara.faces.choice import Choice
from rupantara.generation import rows
from rupantara.generation.face import FaceCodes, FaceCrop, batches, sample_people
from rupantara.generation.hybrid import HybridGenerator, HybridRequest
from rupantara.generation.protocol import Generated
from rupantara.imaging import codec

SAMPLE = "sample"
"""Column of rows that ask for a person of the prior by number."""


class GenerateHybrids:
    """Batch of `schema.FACES`, or of numbers in the column SAMPLE -> batch of `schema.GENERATED`.

    For each chosen person what `ask` wants of their face: the face itself, decoded, and hybrids.
    """

    def __init__(
        self,
        make_generator: Callable[[], HybridGenerator],
        ask: Callable[[FaceCrop | FaceCodes], HybridRequest],
        choice: Choice | None = None,
        *,
        seed: int = 0,
        truncation: float = 1.0,
        threads: int = 1,
    ) -> None:
        """Build the generator on the worker; `seed` and `truncation` are those of sampled people."""
        torch.set_num_threads(threads)
        self._generator, self._ask, self._choice = make_generator(), ask, choice or Choice()
        self._seed, self._truncation = seed, truncation

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Generate for the chosen faces of the batch, or for each number."""
        sampled = SAMPLE in batch.column_names
        wanted = batch[SAMPLE].to_pylist() if sampled else self._choice(batch)
        faces = self._sampled(wanted) if sampled else self._crops(wanted)
        return rows.table(picture for part in faces for picture in self._made(part))

    def _made(self, faces: Sequence[FaceCrop | FaceCodes]) -> Iterator[Generated]:
        """Generate for some faces at a time: their pictures are held together."""
        for pictures in self._generator.generate([self._ask(face) for face in faces]):
            yield from pictures

    def _sampled(self, numbers: Sequence[int]) -> Iterator[list[FaceCodes]]:
        for part in batches(numbers):
            yield sample_people(self._generator.loaded, part, self._seed, self._truncation)

    def _crops(self, table: pa.Table) -> Iterator[list[FaceCrop]]:
        for part in batches(range(table.num_rows)):
            yield crops_of(table.slice(part[0], len(part)))


def crops_of(table: pa.Table) -> list[FaceCrop]:
    """Decode accepted humans of the faces table."""
    columns = (table[name].to_pylist() for name in ("face_id", "image", "landmarks"))
    return [
        FaceCrop.of(
            face_id,
            codec.decode_jpeg(image),
            None if landmarks is None else np.array(landmarks, np.float32).reshape(68, 2),
        )
        for face_id, image, landmarks in zip(*columns, strict=True)
    ]
