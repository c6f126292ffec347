"""Faces to variations, and numbers to faces from nowhere: rows of `schema.GENERATED`."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from rupantara import schema
from rupantara.faces.arrays import load, to_pictures
from rupantara.generation import provenance, zoo_loading
from rupantara.generation.variations import NOISE, Mode, from_prior, seed_of, vary
from rupantara.models.zoo import SIDE

SAMPLES = pa.schema([("number", pa.int64())])
"""Rows that ask for one face from the prior each."""


class VaryFaces:
    """Batch of `schema.FACES` -> `schema.GENERATED`, `count` rows of kind `variation` a chosen face.

    In mode `prior`: batch of SAMPLES -> one row of kind `sample` a number.
    """

    def __init__(
        self,
        checkpoint: str,
        chosen: frozenset[str],
        *,
        count: int = 10,
        mode: Mode = "posterior",
        noise: float = NOISE,
        seed: int = 0,
        threads: int = 1,
    ) -> None:
        """Load the model; `chosen` are the face ids to work on."""
        torch.set_num_threads(threads)
        self._loaded, self._chosen, self._count = zoo_loading.load(checkpoint), chosen, count
        self._mode: Mode = mode
        self._noise, self._seed = noise, seed

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Generate for the chosen faces, or for each number."""
        rows = self._samples(batch) if self._mode == "prior" else self._variations(batch)
        return pa.Table.from_pylist(rows, schema=schema.GENERATED)

    def _samples(self, batch: pa.Table) -> list[dict[str, Any]]:
        out = []
        for number in batch["number"].to_pylist():
            seed = seed_of(self._seed, self._mode, str(number))
            picture = to_pictures(from_prior(self._loaded.model, 1, seed))[0]
            out.append(self._row("sample", [], picture, seed, {"number": number}))
        return out

    def _variations(self, batch: pa.Table) -> list[dict[str, Any]]:
        rows = schema.where_id(batch, self._chosen)
        if not rows.num_rows:
            return []
        images, out = load(rows, SIDE).images(), []
        settings = {"noise": self._noise} if self._mode == "input_noise" else {}
        for face_id, image in zip(rows["face_id"].to_pylist(), images, strict=True):
            seed = seed_of(self._seed, self._mode, face_id)
            made = vary(self._loaded.model, image, self._count, self._mode, seed, self._noise)
            for number, picture in enumerate(to_pictures(made)):
                parameters = {"face_id": face_id, "number": number, "count": self._count, **settings}
                out.append(self._row("variation", [face_id], picture, seed, parameters))
        return out

    def _row(
        self, kind: str, face_ids: list[str], picture: np.ndarray, seed: int, parameters: dict[str, Any]
    ) -> dict[str, Any]:
        """Record a picture; its seed, its number and the model make it again."""
        parameters |= {"kind": kind, "mode": self._mode, "seed": seed, "model_sha256": self._loaded.sha256}
        parameters |= {"model": self._loaded.model.config.name}
        return {
            "request_id": provenance.request_id(**parameters),
            "kind": kind,
            "face_ids": face_ids,
            "species": "human",
            "bank_ids": [],
            "parameters": json.dumps(parameters, sort_keys=True),
            "seed": seed,
            "image": provenance.png(picture, kind, parameters),
            "model_sha256": [self._loaded.sha256],
            "scores": [],
            "reject": None,
        }
