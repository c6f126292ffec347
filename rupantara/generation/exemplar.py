"""The renderer `exemplar`: the person, decoded, with the face of an animal that a bank has a picture or the whole code of laid on it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from rupantara.landmarks.composite import DonorShare, composite
from rupantara.landmarks.donor import Donor
from rupantara.landmarks.fitness import yaw_of
from rupantara.landmarks.points import keypoints_from
from rupantara.landmarks.regions import CANONICAL, REGIONS
from rupantara.models.region_vae import RegionVAE
from rupantara.tensors import device_of, to_pictures
from rupantara.types import Landmarks, Picture


class Donors(Protocol):
    """Animals with pictures (`rupantara.bank.donors.Donors`)."""

    @property
    def species(self) -> tuple[str, ...]:
        """Return the species that can lend pictures."""
        ...

    def show_by(self, decode: Callable[[np.ndarray, np.ndarray, str], Picture]) -> None:
        """Take the decoder for animals that come as codes."""
        ...

    def pick(self, face_id: str, species: str, yaw: float, lent: Collection[str] = ()) -> tuple[Donor, float]:
        """Choose who of a species lends a face its looks, and how well it fits."""
        ...


def animal_decoder(model: RegionVAE) -> Callable[[np.ndarray, np.ndarray, str], Picture]:
    """Return what shows an animal by its whole code: a decoded donor is soft, as a decoded person is, and nobody's photograph."""

    def show(global_code: np.ndarray, region_codes: np.ndarray, species: str) -> Picture:
        device = device_of(model)
        codes = torch.from_numpy(global_code)[None], torch.from_numpy(region_codes).reshape(1, len(REGIONS), -1)
        boxes = torch.tensor(CANONICAL["animal"], dtype=torch.float32, device=device)[None]
        with torch.inference_mode():
            made = model.decode(
                codes[0].to(device), codes[1].to(device), boxes, model.config.species_index([species]).to(device)
            )
        return to_pictures(made)[0]

    return show


@dataclass(frozen=True)
class Loan:
    """What is laid on one face: a part a donor, the donor of each region, and how well each donor fits."""

    parts: tuple[DonorShare, ...]
    donors: Mapping[str, str]
    fits: Mapping[str, float]


def loan(
    donors: Donors,
    face_id: str,
    landmarks: Landmarks,
    species: Mapping[str, str],
    amounts: Mapping[str, float],
    lent: Collection[str] = (),
) -> Loan:
    """Find who lends a face its regions: one animal for all regions of a species, so that they are one mask.

    `species` and `amounts` are by region; `lent` are the animals (face ids) that retrieval by codes named.
    """
    yaw = yaw_of(keypoints_from(landmarks))
    parts, named, fits = [], {}, {}
    for name in dict.fromkeys(species.values()):
        donor, fit = donors.pick(face_id, name, yaw, lent)
        regions = [region for region in species if species[region] == name]
        parts.append(DonorShare(donor, {region: amounts[region] for region in regions}))
        named |= dict.fromkeys(regions, donor.name)
        fits[donor.name] = fit
    return Loan(tuple(parts), named, fits)


def lay(pictures: Sequence[Picture], landmarks: Sequence[Landmarks], loans: Sequence[Loan]) -> list[Picture]:
    """Lay each loan on its picture; landmarks are px of the pictures. A loan whose amounts are 0 leaves its picture to the bit."""
    triples = zip(pictures, landmarks, loans, strict=True)
    return [composite(picture, points, one.parts) for picture, points, one in triples]
