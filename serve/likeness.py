"""How near the regions of a face are to animals' by deep features of their pictures: a bank of `region_features` behind the endpoints."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rupantara.bank import versions
from rupantara.features.affinities import Affinities, RegionAffinity
from rupantara.features.extractor import FaceBatch
from rupantara.landmarks.regions import REGIONS
from serve.config import Config
from serve.faces import Face
from serve.hybrids import crop_of


class LikenessMaker:
    """Affinities in the bank's space; `measure` says what its numbers mean."""

    def __init__(self, config: Config) -> None:
        """Open the bank of the configuration with the network that made it."""
        found = versions.latest(config.likeness)
        self._affinities = Affinities.open(found, weights=config.weights)
        self.content, self.sha256 = found.content, found.model_sha256
        name, sentence = self._affinities.space
        self.measure = f"{name}: {sentence}"

    @property
    def species(self) -> tuple[str, ...]:
        """Return the species that are compared with."""
        return self._affinities.species

    def compare(self, faces: Sequence[Face], top: int) -> list[list[RegionAffinity]]:
        """Return each face's affinities by region and species, with its `top` nearest animals of each."""
        crops = [crop_of(face) for face in faces]
        none = np.full((5, 2), np.nan, np.float32)
        keypoints = np.stack([none if face.keypoints is None else face.keypoints for face in faces])
        boxes, points = np.stack([crop.boxes for crop in crops]), [crop.landmarks for crop in crops]
        decoded = FaceBatch([crop.picture for crop in crops], keypoints, boxes, ["human"] * len(crops), points)
        return self._affinities.of_faces(decoded, top)


def by_region(found: Sequence[RegionAffinity]) -> dict[str, dict[str, float]]:
    """Return the mean by region and species."""
    return {r: {one.species: round(one.mean, 5) for one in found if one.region == r} for r in REGIONS}


def details(found: Sequence[RegionAffinity]) -> list[dict[str, Any]]:
    """Return every measure of each region and species."""
    names = ("mean", "best", "percentile_95", "probability", "person_probability")
    numbers = [{name: getattr(one, name) for name in names} for one in found]
    return [
        {"region": one.region, "species": one.species}
        | {name: None if value is None or not np.isfinite(value) else round(value, 5) for name, value in told.items()}
        for one, told in zip(found, numbers, strict=True)
    ]


def nearest(
    found: Sequence[RegionAffinity], regions: Sequence[str], k: int, species: str
) -> dict[str, list[dict[str, Any]]]:
    """Return the k nearest animals by region, best first."""
    out = {}
    for region in regions:
        rows: list[dict[str, Any]] = [
            {"bank_id": name, "species": one.species, "cosine": round(score, 5)}
            for one in found
            if one.region == region and species in ("", one.species)
            for name, score in zip(one.best_ids, one.best_scores, strict=True)
        ]
        out[region] = sorted(rows, key=lambda row: (-row["cosine"], row["bank_id"]))[:k]
    return out
