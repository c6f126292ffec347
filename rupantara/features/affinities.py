"""Affinities of faces that are at hand, for serving: crops or region features -> how near each region is to each species."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from rupantara.bank.measures import Compared, compare
from rupantara.bank.reference import PEOPLE, Reference
from rupantara.bank.reference_file import ReferenceFile
from rupantara.bank.sampling import bank_codes
from rupantara.bank.spaces import DEFAULT, Space, meaning
from rupantara.bank.versions import BankVersion
from rupantara.errors import UserError
from rupantara.features.extractor import ExtractorNetworks, FaceBatch, Spec
from rupantara.features.region_features import NAME, RegionFeatures, model_sha256
from rupantara.landmarks.regions import REGIONS
from rupantara.types import Vectors


@dataclass(frozen=True)
class RegionAffinity:
    """One region and species: mean, best and 95th percentile cosine, P(nearer than another species), and the best animals' ids."""

    region: str
    species: str
    mean: float
    best: float
    percentile_95: float
    probability: float
    person_probability: float | None
    best_ids: tuple[str, ...]
    best_scores: tuple[float, ...]


class Affinities:
    """Faces -> affinities by region and species, and each face's nearest animals; the space and its meaning go with every answer.

    It is a plain object: its answers are exact scans of the reference, some milliseconds a face and thousand animals.
    """

    def __init__(self, reference: Reference, space: Space, network: RegionFeatures | None = None) -> None:
        """Compare with a reference in its space; without a network only `of_features` answers."""
        self._reference, self._space, self._network = reference, space, network

    @staticmethod
    def open(bank: BankVersion, space: str = DEFAULT, *, weights: str = "", most: int = 400) -> "Affinities":
        """Open a bank of region_features with the network that made it; UserError for a bank of other vectors or another network."""
        spec, source, fitted = Spec(NAME), ExtractorNetworks("", weights), bank.spaces
        if bank.vectors != NAME or fitted is None:
            raise UserError(f"affinities need a bank of {NAME} with named spaces, {bank.uri} holds {bank.vectors}")
        made_by = model_sha256(spec, source)
        if made_by != bank.model_sha256:
            raise UserError(f"the bank's network must be {made_by[:12]}, got {bank.model_sha256[:12]}")
        file = ReferenceFile(bank_codes(bank, most), {}, "animal", {}, fitted)
        return Affinities(file.reference(space), fitted.space(space), RegionFeatures(spec, source))

    @property
    def space(self) -> tuple[str, str]:
        """Return the space's name and what its numbers mean."""
        return self._space.name, meaning(self._space.name)

    @property
    def species(self) -> tuple[str, ...]:
        """Return the species compared with."""
        return self._reference.species

    def of_faces(self, faces: FaceBatch, top: int = 3) -> list[list[RegionAffinity]]:
        """Return the affinities of decoded faces: crops with their boxes and domains."""
        if self._network is None:
            raise ValueError("affinities of crops need the network, got none")
        with torch.inference_mode():
            codes = self._network(faces)[0]
        return self.of_features(codes, faces.domains, top)

    def of_features(
        self, codes: Vectors, domains: Sequence[str], top: int = 3, face_ids: Sequence[str] = ()
    ) -> list[list[RegionAffinity]]:
        """Return the affinities of region features [n, 5, dim]; a face that the bank holds is not compared with itself (`face_ids`)."""
        units = np.zeros((len(codes), len(REGIONS), self._reference.vectors.shape[2]), np.float32)
        kinds = np.array(domains, object)
        for domain in sorted(set(domains)):
            units[kinds == domain] = self._space.units(codes[kinds == domain], domain)
        owners = list(face_ids) or [""] * len(codes)
        found = compare(units, self._reference, owners, top, np.zeros(len(codes), bool))
        return [self._answers(found, i) for i in range(len(codes))]

    def _answers(self, found: Compared, face: int) -> list[RegionAffinity]:
        out = []
        for r, region in enumerate(REGIONS):
            for g, name in enumerate(self._reference.groups):
                if name != PEOPLE:
                    mean, best, high, probability, person = (float(v) for v in found.cells[face, r, g])
                    there = found.best.positions[face, r, g] >= 0
                    ids = tuple(self._reference.ids[p] for p in found.best.positions[face, r, g][there])
                    scores = tuple(float(s) for s in found.best.scores[face, r, g][there])
                    near = None if np.isnan(person) else person
                    out.append(RegionAffinity(region, name, mean, best, high, probability, near, ids, scores))
        return out
