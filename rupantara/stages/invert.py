"""Rows of vectors, or photographs, to inversions."""

from collections.abc import Callable, Iterator, Mapping
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from rupantara import schema
from rupantara.errors import Rejected
from rupantara.faces.choice import Choice
from rupantara.generation import rows
from rupantara.generation.face import batches
from rupantara.generation.inversion import InversionGenerator, InversionRequest
from rupantara.generation.protocol import Generated
from rupantara.training.decoder_rows import vectors_of

NO_VECTOR = Rejected("generate", "no_vector", "the face is an animal's, and the network makes vectors of people only")
Stage = Callable[[pa.Table], pa.Table]


def numbered(vectors: np.ndarray, column: str) -> pa.Table:
    """Return vectors [n, dim] as rows for `InvertVectors`: row i is the face `row-i`."""
    names = [f"row-{n:08d}" for n in range(len(vectors))]
    return pa.table({"face_id": names, column: schema.vector_array(vectors)})


class InvertVectors:
    """Batch with `face_id` and the decoder's vector column -> `schema.GENERATED`, two rows a vector: `texture` and `inversion`.

    A null vector (of a face of another domain) gives no row; a vector that cannot be decoded gives a reject.
    """

    def __init__(
        self,
        make_generator: Callable[[], InversionGenerator],
        choice: Choice | None = None,
        *,
        seed: int = 0,
        threads: int = 1,
    ) -> None:
        """Build the generator on the worker; `choice` says which rows to work on (None = all)."""
        torch.set_num_threads(threads)
        self._generator, self._choice, self._seed = make_generator(), choice, seed

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Invert the chosen rows of the batch."""
        return rows.table(self.made(batch if self._choice is None else self._choice(batch), {}))

    def made(self, batch: pa.Table, uris: Mapping[str, str]) -> Iterator[Generated]:
        """Yield the inversions of rows; `uris` tells where faces come from, by id, as far as that is known."""
        # Vectors that are there but not finite stay: the generator rejects them with a reason.
        batch = batch.filter(pc.field(self._generator.vector).is_valid())
        if batch.num_rows:
            vectors = vectors_of(batch, self._generator.vector)
            for part in batches(list(zip(batch["face_id"].to_pylist(), vectors, strict=True))):
                asked = [InversionRequest(name, vector, self._seed, uris.get(name) or "") for name, vector in part]
                for made in self._generator.generate(asked):
                    yield from made

    def rejected(self, face_id: str, uri: str, reject: Rejected) -> Generated:
        """Return what stands for a face of which no vector could be made."""
        return self._generator.rejected(InversionRequest(face_id, np.zeros(0, np.float32), self._seed, uri), reject)


class InvertPhotos:
    """Batch of `schema.PHOTOS` -> `schema.GENERATED`: photographs are curated, their faces embedded, the vectors inverted."""

    def __init__(
        self,
        make_curate: Callable[[], Stage],
        make_extract: Callable[[], Stage],
        make_invert: Callable[[], InvertVectors],
    ) -> None:
        """Build the three stages."""
        self._curate, self._extract, self._invert = make_curate(), make_extract(), make_invert()

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Invert every face; what was rejected on the way stays a reject."""
        faces = self._curate(batch)
        uris = dict(zip(faces["face_id"].to_pylist(), faces["uri"].to_pylist(), strict=True))
        vectors = self._extract(faces)
        made = self._invert.made(vectors, uris)
        return rows.table(
            chain(made, self._refused(faces, uris), self._refused(vectors, uris), self._animals(faces, uris))
        )

    def _refused(self, batch: pa.Table, uris: Mapping[str, str]) -> Iterator[Generated]:
        """Yield a reject for each face that curation or extraction rejected."""
        if "reject" in batch.column_names:
            for row in batch.filter(batch["reject"].is_valid()).select(["face_id", "reject"]).to_pylist():
                yield self._invert.rejected(row["face_id"], uris[row["face_id"]] or "", Rejected(**row["reject"]))

    def _animals(self, faces: pa.Table, uris: Mapping[str, str]) -> Iterator[Generated]:
        """Yield a reject for each face that the network makes no vector of."""
        for face_id in schema.accepted(faces).filter(pc.field("domain") != "human")["face_id"].to_pylist():
            yield self._invert.rejected(face_id, uris[face_id] or "", NO_VECTOR)
