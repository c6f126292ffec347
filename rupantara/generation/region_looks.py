"""What a region of an animal of a bank looks like: cut out of the bank's picture of the animal, else of what its codes decode to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from rupantara.generation import provenance
from rupantara.generation.loading import LoadedRegionVAE
from rupantara.generation.protocol import Generated
from rupantara.landmarks.region_crop import region_crop
from rupantara.landmarks.regions import CANONICAL, PART_REGION, REGIONS, part_boxes
from rupantara.tensors import device_of, to_pictures
from rupantara.types import Boxes, Picture

SIDE, CONTEXT = 96, 1.7
"""Side of a crop, px, and how much of its surroundings a region is shown with."""


class Animals(Protocol):
    """Animals whose looks a bank carries (`rupantara.bank.donors.Donors`)."""

    def known(self, face_id: str) -> bool:
        """Tell whether it carries the looks of an animal."""
        ...

    def looks(self, face_id: str) -> tuple[Picture, np.ndarray, bool]:
        """Return an animal's picture, its six points [6, 2] as fractions, and whether it is a photograph."""
        ...

    def mean_global(self, species: str) -> np.ndarray | None:
        """Return the mean global code of a species' animals, None where none comes as codes."""
        ...


@dataclass(frozen=True)
class Feature:
    """A feature of a bank: `bank_id` is `FACE_ID/REGION`; `codes` [5, dim] are the animal's by the model, None where not known."""

    bank_id: str
    region: str
    species: str
    codes: np.ndarray | None = None

    @property
    def face_id(self) -> str:
        """Return the animal's id."""
        return self.bank_id.rpartition("/")[0]


class RegionLooks:
    """Shows features of a bank by the model that made its codes."""

    def __init__(self, loaded: LoadedRegionVAE, animals: Animals | None = None) -> None:
        """Take the model, and the animals whose looks the bank carries."""
        self._loaded, self._animals = loaded, animals

    def show(self, features: Sequence[Feature]) -> list[Generated | Picture | None]:
        """Return for each feature a crop of side SIDE: of a photograph as it is, of a decoded animal with its record, None if unknown.

        Of an animal whose looks are not in the bank the five regions are decoded over its species' mean global code.
        """
        known = [i for i, one in enumerate(features) if self._animals is not None and self._animals.known(one.face_id)]
        decoded = [i for i, one in enumerate(features) if i not in known and one.codes is not None]
        out: dict[int, Generated | Picture] = {i: self._cut(features[i]) for i in known}
        out |= dict(zip(decoded, self._decode([features[i] for i in decoded]), strict=True))
        return [out.get(i) for i in range(len(features))]

    def _cut(self, feature: Feature) -> Generated | Picture:
        assert self._animals is not None
        picture, points, photographed = self._animals.looks(feature.face_id)
        size = picture.shape[0]
        crop = _crop(picture, part_boxes(None, "animal", size, (points * size).astype(np.float32)), feature.region)
        return crop if photographed else self._generated(feature, crop, "whole")

    def _decode(self, features: Sequence[Feature]) -> list[Generated]:
        if not features:
            return []
        config, boxes = self._loaded.model.config, np.array(CANONICAL["animal"], np.float32)
        animals = list({one.face_id: one for one in features}.values())
        species = [one.species for one in animals]
        means = {name: self._global(name) for name in set(species)}
        whole = np.stack([means[name] for name in species])
        regions = np.stack([one.codes for one in animals if one.codes is not None]).astype(np.float32)
        arrays = (whole, regions, np.repeat(boxes[None], len(animals), 0))
        device = device_of(self._loaded.model)
        with torch.inference_mode():
            codes = (torch.from_numpy(array).to(device) for array in arrays)
            made = self._loaded.model.decode(*codes, config.species_index(species).to(device))
        pictures = dict(zip((one.face_id for one in animals), to_pictures(made), strict=True))
        return [self._generated(one, _crop(pictures[one.face_id], boxes, one.region), "regions") for one in features]

    def _global(self, species: str) -> np.ndarray:
        mean = None if self._animals is None else self._animals.mean_global(species)
        return np.zeros(self._loaded.model.config.global_dim, np.float32) if mean is None else mean

    def _generated(self, feature: Feature, crop: Picture, of: str) -> Generated:
        about = {"region": feature.region, "decoded_from": of}
        record = provenance.record(
            "reconstruction",
            [feature.face_id],
            about,
            seed=0,
            model_sha256=[self._loaded.sha256],
            species=feature.species,
            bank_ids=[feature.bank_id],
        )
        return Generated(record, crop)


def _crop(picture: Picture, boxes: Boxes, region: str) -> Picture:
    """Cut a region out; the ears are two boxes, and shown with what lies between them."""
    own = boxes[[i for i, of in enumerate(PART_REGION) if REGIONS[of] == region]]
    low, high = own[:, :2].min(0), own[:, 2:].max(0)
    half = min(CONTEXT * float((high - low).max()), 1.0) / 2
    # Moved inside the picture, so that nothing is mirrored at its edge.
    middle = np.clip((low + high) / 2, half, 1 - half)
    return region_crop(picture, (*(middle - half), *(middle + half)), 1.0, SIDE)
