"""Post-processing of generated pictures or faces, with the errors against the original after each step (`003_…`)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from rupantara import schema
from rupantara.evaluation.originals import Originals
from rupantara.generation import provenance
from rupantara.imaging import codec
from rupantara.imaging.enhance import Step, after_each, describe, enhance, spell
from rupantara.metrics.pictures import picture_errors
from rupantara.types import Picture

BATCH = 64
INPUT = "input"
"""Name of what comes in, in the errors by step: the baseline."""
JPEG_QUALITY = 95


@dataclass(frozen=True)
class Chain:
    """What is done to a picture: `degrade` first makes the baseline poor on purpose, then come the `steps`."""

    steps: tuple[Step, ...]
    degrade: tuple[Step, ...] = ()

    @property
    def names(self) -> list[str]:
        """Name the baseline and each step."""
        return [INPUT, *(spell(step) for step in self.steps)]

    @property
    def parameters(self) -> dict[str, Any]:
        """Return everything that decides what becomes of a picture, as JSON values."""
        degraded = {"degraded": [describe(step) for step in self.degrade]} if self.degrade else {}
        return {"enhanced": [describe(step) for step in self.steps], **degraded}


class EnhancePictures:
    """Batch of `schema.GENERATED` or `schema.FACES` -> the same rows of `schema.enhanced`, their pictures enhanced.

    A generated picture of kind `reconstruction` is measured against the face it names, where the faces table holds it; a face
    against itself. Rejected rows pass as they are. All other columns stay: a face's quality is that of the picture given.
    """

    def __init__(self, chain: Chain, faces: str = "", chosen: frozenset[str] | None = None) -> None:
        """Take the faces table of generated pictures ("" = none is measured); of faces, the ids to work on (None = all)."""
        cv2.setNumThreads(1)
        self._chain, self._chosen = chain, chosen
        self._originals = Originals(faces) if faces else None

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Enhance the batch."""
        if self._chosen is not None:
            batch = schema.where_id(batch, self._chosen)
        rows = batch.to_pylist()
        sound = [row for row in rows if row["reject"] is None]
        originals = self._known([face for row in sound if (face := original_of(row))])
        for start in range(0, len(sound), BATCH):
            self._enhance(sound[start : start + BATCH], originals)
        return pa.Table.from_pylist(rows, schema=schema.enhanced(batch.schema.remove_metadata()))

    def _known(self, face_ids: Sequence[str]) -> dict[str, Picture]:
        return self._originals(face_ids) if self._originals and face_ids else {}

    def _enhance(self, rows: Sequence[dict[str, Any]], originals: dict[str, Picture]) -> None:
        """Change the rows in place: `image`, `parameters` and `steps`."""
        given = np.stack([codec.decode_jpeg(row["image"]) for row in rows])
        size = given.shape[1]
        found = [originals.get(original_of(row)) if "request_id" in row else given[i] for i, row in enumerate(rows)]
        known = [i for i, picture in enumerate(found) if picture is not None]
        sources = [codec.resize(picture, size) for picture in found if picture is not None]
        errors: dict[int, list[dict[str, Any]]] = {i: [] for i in known}
        pictures = given
        for name, pictures in zip(
            self._chain.names, after_each(enhance(given, self._chain.degrade), self._chain.steps), strict=True
        ):
            if known:
                for i, measured in zip(known, picture_errors(pictures[known], np.stack(sources)), strict=True):
                    errors[i].append({"step": name, **measured})
        for i, row in enumerate(rows):
            row |= self._encoded(pictures[i], row) | {"steps": errors.get(i)}

    def _encoded(self, picture: Picture, row: dict[str, Any]) -> dict[str, Any]:
        """Return the columns that hold the picture: a generated one says in its metadata what was done to it."""
        if "request_id" not in row:
            return {"image": codec.encode_jpeg(picture, JPEG_QUALITY)}
        parameters = json.loads(row["parameters"]) | self._chain.parameters
        image = provenance.png(picture, row["kind"], parameters)
        return {"image": image, "parameters": json.dumps(parameters, sort_keys=True)}


def original_of(row: dict[str, Any]) -> str:
    """Return the id of the face that a generated picture reconstructs, "" for any other row."""
    return row["face_ids"][0] if row.get("kind") == "reconstruction" and row["face_ids"] else ""
