"""The region VAE and the bank behind the endpoints: faces to codes, hybrids, nearest animals and affinities."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from rupantara.bank import donors
from rupantara.bank.affinity import mean_affinity
from rupantara.errors import UserError
from rupantara.generation import face as library
from rupantara.generation import loading
from rupantara.generation.face import FaceCodes, FaceCrop
from rupantara.generation.hybrid import HybridGenerator, HybridRequest
from rupantara.generation.mixing import Path
from rupantara.generation.protocol import Generated
from rupantara.generation.region_looks import RegionLooks
from rupantara.generation.rendering import MixedCodes, render
from rupantara.generation.retrieval import DonorRule
from rupantara.landmarks.regions import REGIONS, part_boxes
from rupantara.metrics.cosine import unit
from rupantara.types import Picture
from serve.bank import Bank
from serve.crops import Crops, Rows
from serve.faces import Codes, Face


@dataclass(frozen=True)
class HybridAsk:
    """A face and what each of its regions takes: species (or `nearest`) and amount (0 = the person's, 1 = the animal's)."""

    face: Face
    species: Mapping[str, str]
    amounts: Mapping[str, float]
    path: Path = "linear"
    donor: DonorRule = field(default_factory=DonorRule)
    seed: int = 0

    def request(self, face: FaceCodes) -> HybridRequest:
        """Return the generator's request."""
        return HybridRequest(face, (self.species,), self.amounts, self.path, self.donor, self.seed)


class HybridMaker:
    """One checkpoint and its bank: `encode`, `generate`, `search`, `affinity`, `sample`."""

    def __init__(self, checkpoint: str, bank: Bank | None, threads: int) -> None:
        """Load the model; UserError where the bank is of another."""
        torch.set_num_threads(threads)
        self.bank, self._loaded = bank, loading.load(checkpoint)
        looks = donors.read(bank.uri) if bank is not None else None
        self._generator = HybridGenerator(self._loaded, bank, donors=looks) if bank is not None else None
        self._crops = Crops(RegionLooks(self._loaded, looks))
        config = self._loaded.model.config
        self.sha256, self.codes_sha256, self.size = self._loaded.sha256, self._loaded.codes_sha256, config.size
        self.global_dim, self.region_dim = config.global_dim, config.region_dim

    @property
    def species(self) -> tuple[str, ...]:
        """Return the species of the bank."""
        return self.bank.species if self.bank is not None else ()

    @property
    def samples(self) -> bool:
        """Tell whether people can be sampled."""
        return self._loaded.prior is not None

    def encode(self, faces: Sequence[Face]) -> list[Codes]:
        """Return the codes of aligned crops, in one batch."""
        found = library.encode(self._loaded, [crop_of(face) for face in faces])
        return [Codes(one.global_mu, one.regions_mu, self.codes_sha256) for one in found]

    def blank(self) -> Face:
        """Return a grey face, to warm up with."""
        return Face("blank-0", part_boxes(None, "human", self.size), np.full((self.size, self.size, 3), 128, np.uint8))

    def sample(self, number: int, truncation: float) -> Face:
        """Draw a person who does not exist from the checkpoint's prior."""
        (drawn,) = library.sample_people(self._loaded, [number], 0, truncation)
        codes = Codes(drawn.global_mu, drawn.regions_mu, self.codes_sha256)
        return Face(drawn.face_id, np.array(drawn.boxes, np.float32), codes=codes, shape=drawn.shape)

    def pictures(self, faces: Sequence[Face]) -> list[Picture]:
        """Decode faces' own codes: their reconstructions."""
        none = torch.zeros(len(REGIONS))
        codes = [codes_of(face) for face in faces]
        return list(render(self._loaded.model, [MixedCodes(c, torch.from_numpy(c.regions_mu), none) for c in codes]))

    def generate(self, asked: Sequence[HybridAsk]) -> list[list[Generated]]:
        """Make one hybrid of each, all decoded together; UserError before any network runs."""
        if self._generator is None:
            raise UserError("the server must have a bank for this, it has none")
        return self._generator.generate([one.request(codes_of(one.face)) for one in asked])

    def search(
        self, face: Face, regions: Sequence[str], k: int, species: str, pictures: bool = False
    ) -> dict[str, list[dict[str, Any]]]:
        """Return the k features nearest to each region of a face: id, species, cosine and, with `pictures`, a crop; best first."""
        bank, queries = self._bank(), self._queries(face, regions)
        if species and species not in bank.species:
            raise UserError(f"species must be one of {', '.join(bank.species)} or empty, got {species!r}")
        out: dict[str, list[dict[str, Any]]] = {region: [] for region in regions}
        # A hit does not name its species: each is asked for by itself.
        for name in (species,) if species else bank.species:
            for region, hits in bank.search_regions(queries, k, name, vectors=False).items():
                out[region] += _told(hits.ids[0], hits.scores[0], name)
        best = {r: sorted(rows, key=lambda row: (-row["cosine"], row["bank_id"]))[:k] for r, rows in out.items()}
        return self.with_crops(best) if pictures else best

    def with_crops(self, found: Rows) -> dict[str, list[dict[str, Any]]]:
        """Add to hits a picture of what each shows, where the bank has the animal."""
        return self._crops.add(found, self._codes_of)

    def _codes_of(self, face_ids: Sequence[str]) -> dict[str, np.ndarray]:
        """Return the codes [5, dim] that the decoder takes of animals of the bank."""
        bank, out = self._bank(), {}
        for face_id, aligned in bank.animals(face_ids).items():
            restored = [
                bank.alignment.restore(aligned[i][None], "animal", region)[0] for i, region in enumerate(REGIONS)
            ]
            out[face_id] = np.stack(restored).astype(np.float32)
        return out

    def affinity(self, face: Face) -> dict[str, dict[str, float]]:
        """Return for each region the mean cosine with each species' features."""
        bank, queries = self._bank(), self._queries(face, REGIONS)
        out = {}
        for region in REGIONS:
            names, means, _ = bank.species_means(region)
            values = mean_affinity(queries[region], means)[0]
            out[region] = {name: round(float(value), 5) for name, value in zip(names, values, strict=True)}
        return out

    def _bank(self) -> Bank:
        if self.bank is None:
            raise UserError("the server must have a bank for this, it has none")
        return self.bank

    def _queries(self, face: Face, regions: Sequence[str]) -> dict[str, np.ndarray]:
        codes, alignment = codes_of(face).regions_mu, self._bank().alignment
        return {r: unit(alignment.align(codes[None, REGIONS.index(r)], "human", r))[0] for r in regions}


def crop_of(face: Face) -> FaceCrop:
    """Return a face as generators take it from a photograph."""
    if face.crop is None:
        raise UserError("the face must have a picture, it is a token of codes alone")
    return FaceCrop(face.face_id, face.crop, face.boxes, face.landmarks)


def codes_of(face: Face) -> FaceCodes:
    """Return an encoded face as generators take it."""
    assert face.codes is not None, "read and encoded before"
    return FaceCodes(face.face_id, face.codes.global_mu, face.codes.regions_mu, face.boxes, shape=face.shape)


def _told(ids: np.ndarray, scores: np.ndarray, species: str) -> list[dict[str, Any]]:
    there = np.isfinite(scores)
    rows = zip(ids[there], scores[there], strict=True)
    return [{"bank_id": str(name), "species": species, "cosine": round(float(score), 5)} for name, score in rows]
