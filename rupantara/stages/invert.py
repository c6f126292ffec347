"""Vectors to faces (`001_…`): decode landmarks and texture, warp, record; of features, of bare vectors, or of photographs."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from rupantara import schema
from rupantara.errors import Rejected, UserError
from rupantara.faces.arrays import to_pictures
from rupantara.generation import provenance
from rupantara.generation.decoder_loading import LoadedFace, load_face
from rupantara.landmarks.texture import SIDE, rescale
from rupantara.models.face_decoder import Decoded
from rupantara.models.spline_warp import DegenerateError
from rupantara.training.decoder_rows import vectors_of
from rupantara.types import Vectors

BATCH = 32
NO_VECTOR = Rejected("generate", "no_vector", "the face is no human's, and its network makes no vector of it")
LEAST_SPREAD, MOST_SPREAD = 0.18, 4.0
"""Numbers of vectors like those that a decoder was trained on lie, in root mean square, 1 of their spreads from their means (those of
the mean of eight faces' a third), and half of them within 0.7. A vector that is nearer in root mean square than the lesser, or of whose
numbers half lie beyond the greater, is another network's, or not scaled as its vectors are."""

NOT_FINITE = "the vector must be finite, got NaN or infinity"
Stage = Callable[[pa.Table], pa.Table]


def check_dim(loaded: LoadedFace, dim: int) -> None:
    """Raise UserError where vectors are not of the decoder's length."""
    if dim != loaded.config.texture.input_dim:
        raise UserError(
            f"vectors must have the decoder's {loaded.config.texture.input_dim} numbers ({loaded.config.vector}), got {dim}"
        )


@torch.inference_mode()
def invert(loaded: LoadedFace, vectors: Vectors) -> Decoded:
    """Decode vectors [n, dim] to landmarks (px of SIDE), textures and faces; DegenerateError where no warp can be made."""
    return loaded.model(torch.from_numpy(np.array(vectors, np.float32)))


class InvertVectors:
    """Batch with `face_id` and the decoder's vector column -> `schema.GENERATED`, two rows a vector: `texture` and `inversion`.

    A null vector gives no row (it stands for another domain's face); one that cannot be decoded gives a reject.
    """

    def __init__(
        self, checkpoint: str | LoadedFace, chosen: frozenset[str] | None = None, *, seed: int = 0, threads: int = 1
    ) -> None:
        """Load the decoders; `chosen` are the face ids to work on (None = all)."""
        torch.set_num_threads(threads)
        self._loaded = load_face(checkpoint) if isinstance(checkpoint, str) else checkpoint
        self._chosen, self._seed = chosen, seed
        self.sources: dict[str, str] = {}
        """Where faces come from, by face id, as far as it is known: told in their parameters."""

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Invert the chosen rows of the batch."""
        rows = batch if self._chosen is None else schema.where_id(batch, self._chosen)
        rows = rows.filter(rows[self._loaded.config.vector].is_valid())
        found = (
            self.rows(vectors_of(rows, self._loaded.config.vector), rows["face_id"].to_pylist())
            if rows.num_rows
            else []
        )
        return pa.Table.from_pylist(list(found), schema=schema.GENERATED)

    def rows(self, vectors: Vectors, face_ids: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield the rows of some vectors; UserError where they are not of the decoder's length."""
        check_dim(self._loaded, vectors.shape[1])
        for start in range(0, len(vectors), BATCH):
            yield from self._batch(vectors[start : start + BATCH], face_ids[start : start + BATCH])

    def _batch(self, vectors: Vectors, face_ids: Sequence[str]) -> Iterator[dict[str, Any]]:
        reasons = [self._unusable(vector) for vector in vectors]
        usable = np.array([reason is None for reason in reasons])
        try:
            made = invert(self._loaded, np.where(usable[:, None], vectors, 0))
        except DegenerateError as error:
            if len(vectors) == 1:
                yield self.rejected(face_ids[0], Rejected("generate", "degenerate_landmarks", str(error)).as_row())
                return
            # One face's points spoil its batch: find which.
            for i, face_id in enumerate(face_ids):
                yield from self._batch(vectors[i : i + 1], [face_id])
            return
        pictures = zip(to_pictures(made.textures), to_pictures(made.images), strict=True)
        for i, (face_id, (texture, image)) in enumerate(zip(face_ids, pictures, strict=True)):
            if (why := reasons[i]) is not None:
                yield self.rejected(face_id, why.as_row())
                continue
            parameters = self._parameters(face_id)
            points = rescale(made.points[i].numpy(), SIDE, self._loaded.config.texture.side)
            parameters["landmarks_px"] = np.round(points.astype(np.float64), 2).tolist()
            for kind, picture in (("texture", texture), ("inversion", image)):
                yield self._row(face_id, kind, parameters) | {"image": provenance.png(picture, kind, parameters)}

    def _unusable(self, vector: np.ndarray) -> Rejected | None:
        """Say why a vector cannot be decoded: not finite, or unlike those that the decoder was trained on."""
        if not np.isfinite(vector).all():
            return Rejected("generate", "not_finite", NOT_FINITE)
        if not vector.any():
            return Rejected("generate", "zero", "a vector must not be all zeros: they stand for no face")
        standard = self._loaded.model.texture.standardize(torch.from_numpy(np.array(vector[None], np.float32)))
        median, size = float(standard.abs().median()), float(standard.square().mean().sqrt())
        if median > MOST_SPREAD:
            rule = f"half of the vector's numbers must lie within {MOST_SPREAD:g} spreads of their means in training"
            return Rejected("generate", "unlike", f"{rule}, got {median:.3g}")
        if size < LEAST_SPREAD:
            rule = f"the vector's numbers must lie {LEAST_SPREAD:g} spreads or more from their means in training (root mean square)"
            return Rejected("generate", "unlike", f"{rule}, got {size:.3g}")
        return None

    def _parameters(self, face_id: str) -> dict[str, Any]:
        loaded = self._loaded
        known = {"vector": loaded.config.vector, "face_id": face_id, "model_sha256": list(loaded.sha256)}
        return known | ({"uri": self.sources[face_id]} if face_id in self.sources else {})

    def _row(self, face_id: str, kind: str, parameters: dict[str, Any]) -> dict[str, Any]:
        return {
            "request_id": provenance.request_id(kind=kind, **parameters),
            "kind": kind,
            "face_ids": [face_id],
            "species": "human",
            "bank_ids": [],
            "parameters": json.dumps(parameters, sort_keys=True),
            "seed": self._seed,
            "model_sha256": list(self._loaded.sha256),
            "scores": [],
            "reject": None,
        }

    def rejected(self, face_id: str, reject: dict[str, str]) -> dict[str, Any]:
        """Return the row of a face that could not be made."""
        return self._row(face_id, "inversion", self._parameters(face_id)) | {"reject": reject}


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
        self._invert.sources = dict(zip(faces["face_id"].to_pylist(), faces["uri"].to_pylist(), strict=True))
        refused = faces.filter(faces["reject"].is_valid()).select(["face_id", "reject"]).to_pylist()
        lost = [self._invert.rejected(row["face_id"], row["reject"]) for row in refused]
        lost += [
            self._invert.rejected(name, NO_VECTOR.as_row())
            for name in schema.accepted(faces).filter(pc.field("domain") != "human")["face_id"].to_pylist()
        ]
        made = self._invert(self._extract(faces)).replace_schema_metadata(
            {schema.ROWS_IN: str(faces.num_rows).encode()}
        )
        return pa.concat_tables(
            [made, pa.Table.from_pylist(lost, schema=schema.GENERATED)], promote_options="none"
        ).replace_schema_metadata(made.schema.metadata)
