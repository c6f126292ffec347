"""The renderer `exemplar`: the person, decoded, with the face of an animal that a bank has a picture of laid on it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from rupantara.landmarks.composite import Part, composite
from rupantara.landmarks.donor import Donor
from rupantara.landmarks.fitness import yaw_of
from rupantara.landmarks.points import keypoints_from
from rupantara.types import Landmarks, Picture


class Donors(Protocol):
    """Animals with pictures (`rupantara.bank.donors.Donors`)."""

    @property
    def species(self) -> tuple[str, ...]:
        """Return the species that can lend pictures."""
        ...

    def pick(self, face_id: str, species: str, yaw: float, lent: Collection[str] = ()) -> tuple[Donor, float]:
        """Choose who of a species lends a face its looks, and how well it fits."""
        ...


@dataclass(frozen=True)
class Loan:
    """What is laid on one face: a part a donor, the donor of each region, and how well each donor fits."""

    parts: tuple[Part, ...]
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
        parts.append(Part(donor, {region: amounts[region] for region in regions}))
        named |= dict.fromkeys(regions, donor.name)
        fits[donor.name] = fit
    return Loan(tuple(parts), named, fits)


def lay(pictures: Sequence[Picture], landmarks: Sequence[Landmarks], loans: Sequence[Loan]) -> list[Picture]:
    """Lay each loan on its picture; landmarks are px of the pictures. A loan whose amounts are 0 leaves its picture to the bit."""
    triples = zip(pictures, landmarks, loans, strict=True)
    return [composite(picture, points, one.parts) for picture, points, one in triples]
