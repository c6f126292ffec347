"""Faces to hybrids: encode, retrieve from the bank, mix, decode, record."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from rupantara import schema
from rupantara.errors import UserError
from rupantara.faces.arrays import FaceArrays, load, to_pictures
from rupantara.generation import hybrid, loading, provenance
from rupantara.generation.hybrid import Bank, Mixing, Retrieved
from rupantara.landmarks.regions import REGIONS
from rupantara.stages.extract import BATCH, CHUNK_ROWS, encode
from rupantara.types import Picture

NEAREST = "nearest"


class GenerateHybrids:
    """Batch of `schema.FACES` -> batch of `schema.GENERATED`.

    For each chosen human a reconstruction (for each sampled one, the sample), and a hybrid for each wanted species;
    `nearest` takes for every region the species that the bank finds nearest.
    """

    def __init__(
        self,
        checkpoint: str | loading.Loaded,
        bank: Bank,
        species: tuple[str, ...],
        mixing: Mixing,
        chosen: frozenset[str],
        *,
        available: tuple[str, ...],
        seed: int = 0,
        truncation: float = 1.0,
        threads: int = 1,
    ) -> None:
        """Load the model; `available` are the species of the bank, `chosen` the face ids to work on."""
        torch.set_num_threads(threads)
        self._loaded = loading.load(checkpoint) if isinstance(checkpoint, str) else checkpoint
        self._bank, self._species, self._mixing = bank, species, mixing
        self._chosen, self._available, self._seed, self._truncation = chosen, available, seed, truncation

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Generate for the chosen faces of the batch, or for samples of the prior where it has the column `sample`."""
        if "sample" in batch.column_names:
            return pa.Table.from_pylist(self.sampled(batch["sample"].to_pylist()), schema=schema.GENERATED)
        rows, size = schema.where_id(batch, self._chosen), self._loaded.model.config.size
        chunks = (load(rows.slice(start, CHUNK_ROWS), size) for start in range(0, rows.num_rows, CHUNK_ROWS))
        out = self.generate(chunks, rows["face_id"].to_pylist()) if rows.num_rows else []
        return pa.Table.from_pylist(out, schema=schema.GENERATED)

    def generate(self, chunks: Iterable[FaceArrays], face_ids: list[str]) -> list[dict[str, Any]]:
        """Return the rows of `schema.GENERATED` for faces that come decoded some at a time."""
        found = [(*encode(self._loaded, faces), torch.from_numpy(faces.boxes)) for faces in chunks]
        global_mu, regions_mu, boxes = (torch.cat(parts) for parts in zip(*found, strict=True))
        return self._from_codes(global_mu, regions_mu, boxes.numpy(), "reconstruction", face_ids)

    def sampled(self, samples: list[int]) -> list[dict[str, Any]]:
        """Return the rows for people drawn from the checkpoint's prior: sample number i depends on the seed and i alone."""
        prior = self._loaded.prior
        if prior is None:
            raise UserError("sampling people needs a checkpoint with a prior, as jobs.pack makes")
        config = self._loaded.model.config
        drawn = [prior.sample(1, (self._seed, i), config.global_dim, self._truncation) for i in samples]
        codes = [torch.cat(parts) for parts in zip(*drawn, strict=True)]
        boxes = np.repeat(prior.boxes[None], len(samples), 0)
        return self._from_codes(codes[0], codes[1], boxes, "sample", [f"sample-{self._seed}-{i}" for i in samples])

    def _from_codes(
        self, global_mu: torch.Tensor, regions_mu: torch.Tensor, boxes: np.ndarray, kind: str, face_ids: list[str]
    ) -> list[dict[str, Any]]:
        pictures = self._decoded(global_mu, regions_mu, boxes)
        out = self._rows(kind, "human", face_ids, pictures, {}, [[] for _ in face_ids])
        found = self._retrieve(regions_mu.numpy())
        for name in self._species:
            per_region = {r: self._pick(found[r], name) for r in self._mixing.regions}
            animal = np.zeros(tuple(regions_mu.shape), np.float32)
            for region, (retrieved, _) in per_region.items():
                animal[:, REGIONS.index(region)] = retrieved.codes
            mixed = hybrid.mix(regions_mu, animal, self._mixing)
            pictures = self._decoded(global_mu, mixed, boxes, self._mixing)
            names = [[names[i] for _, names in per_region.values()] for i in range(len(face_ids))]
            out += self._rows("hybrid", name, face_ids, pictures, {r: v[0] for r, v in per_region.items()}, names)
        return out

    def _decoded(
        self, global_mu: torch.Tensor, regions: torch.Tensor, boxes: np.ndarray, mixing: Mixing | None = None
    ) -> Iterator[Picture]:
        """Decode codes to pictures, BATCH at a time, however many a part holds."""
        for start in range(0, len(boxes), BATCH):
            at = slice(start, start + BATCH)
            yield from to_pictures(hybrid.decode(self._loaded.model, global_mu[at], regions[at], boxes[at], mixing))

    def _retrieve(self, regions_mu: np.ndarray) -> dict[str, dict[str, Retrieved]]:
        """Search each wanted region and species once for all faces."""
        wanted = self._available if NEAREST in self._species else tuple(s for s in self._species if s != NEAREST)
        codes = {region: regions_mu[:, REGIONS.index(region)] for region in self._mixing.regions}
        by_species = {s: hybrid.retrieve_all(self._bank, codes, s, self._mixing) for s in wanted}
        return {region: {s: found[region] for s, found in by_species.items()} for region in codes}

    @staticmethod
    def _pick(found: dict[str, Retrieved], name: str) -> tuple[Retrieved, list[str]]:
        """Return what was retrieved for a species, or for each face's nearest one, and the species' names."""
        n = len(next(iter(found.values())).codes)
        names = hybrid.nearest_species(found) if name == NEAREST else [name] * n
        fields = ("codes", "ids", "scores", "weights")
        picked = {f: np.stack([getattr(found[s], f)[i] for i, s in enumerate(names)]) for f in fields}
        return Retrieved(**picked), names

    def _rows(
        self,
        kind: str,
        species: str,
        face_ids: list[str],
        pictures: Iterable[Picture],
        retrieved: dict[str, Retrieved],
        names: list[list[str]],
    ) -> list[dict[str, Any]]:
        mixing = self._mixing
        settings: dict[str, Any] = {"mode": mixing.mode, "donor": mixing.donor}
        if mixing.donor == "region":
            settings |= {"top_k": mixing.top_k, "temperature": mixing.temperature}
        out = []
        for i, (face_id, picture) in enumerate(zip(face_ids, pictures, strict=True)):
            regions = {
                region: {
                    "species": name,
                    "weight": mixing.weight_of(region),
                    "bank_ids": v.ids[i].tolist(),
                    "attention": [round(float(w), 5) for w in v.weights[i]],
                }
                for (region, v), name in zip(retrieved.items(), names[i], strict=True)
            }
            parameters = {"kind": kind, "species": species, "regions": regions} | (settings if regions else {})
            parameters |= {"face_id": face_id, "model_sha256": self._loaded.sha256, "seed": self._seed}
            row = {
                "request_id": provenance.request_id(**parameters),
                "kind": kind,
                "face_ids": [face_id],
                "species": species,
                "bank_ids": [b for v in retrieved.values() for b in v.ids[i] if b],
                "parameters": json.dumps(parameters, sort_keys=True),
                "seed": self._seed,
                "model_sha256": [self._loaded.sha256],
                "scores": [float(s) for v in retrieved.values() for s in v.scores[i] if np.isfinite(s)],
                "reject": None,
            }
            out.append(row | {"image": provenance.png(picture, kind, parameters)})
        return out
