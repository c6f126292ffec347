"""Hybrid faces (*Rupantara*, III.D): each region's code is mixed with codes that a bank of animals gives for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import torch

from rupantara.errors import UserError
from rupantara.generation import loading, provenance
from rupantara.generation.donors import NEAREST, DonorQuery, Lent, find_donors
from rupantara.generation.exemplar import Donors, Loan, animal_decoder, lay, loan
from rupantara.generation.face import FaceCodes, FaceCrop, encode
from rupantara.generation.loading import LoadedRegionVAE
from rupantara.generation.mixing import Path, amount_row, check_amounts, mix
from rupantara.generation.protocol import Generated, Record
from rupantara.generation.rendering import MixedCodes, render
from rupantara.generation.retrieval import Bank, DonorRule
from rupantara.landmarks.regions import REGIONS
from rupantara.types import Picture

SEVERAL = "several"
"""Species of a hybrid whose regions were asked of different ones."""

Renderer = Literal["auto", "exemplar", "latent"]
"""How a hybrid is rendered: `latent` decodes mixed codes; `exemplar` lays an animal's picture on the decoded face, so that fur is
sharp; `auto` is exemplar where the bank carries pictures of the species and the face's landmarks are known, else latent."""

WantedSpecies = str | Mapping[str, str]
"""A species of the bank or `NEAREST`, for all regions or for each by its name."""


def everywhere(amount: float = 1.0) -> dict[str, float]:
    """Return the same amount for all five regions."""
    return dict.fromkeys(REGIONS, amount)


@dataclass(frozen=True)
class HybridRequest:
    """A face and the hybrids wanted of it, one for each entry of `species`.

    `amounts` says by region how much of the animal it takes: 0 = the human's region exactly, 1 = the animal's; regions that are
    not named stay the human's and have no say in who lends. With `unmixed` the face itself, decoded, comes first.
    """

    face: FaceCrop | FaceCodes
    species: tuple[WantedSpecies, ...] = (NEAREST,)
    amounts: Mapping[str, float] = field(default_factory=everywhere)
    path: Path = "linear"
    donor: DonorRule = field(default_factory=DonorRule)
    seed: int = 0
    unmixed: bool = False
    renderer: Renderer = "auto"

    def check(self, known: Sequence[str]) -> None:
        """Raise UserError for what could never be met with these species in the bank."""
        if not self.species and not self.unmixed:
            raise UserError("species must name at least one hybrid, got none")
        if self.renderer not in get_args(Renderer):
            raise UserError(f"renderer must be one of {', '.join(get_args(Renderer))}, got {self.renderer!r}")
        check(self.species, self.amounts, self.path, self.donor, known)


def check(
    species: Sequence[WantedSpecies], amounts: Mapping[str, float], path: str, donor: DonorRule, known: Sequence[str]
) -> None:
    """Raise UserError for wishes that no face could have, with these species in the bank."""
    check_amounts(amounts)
    donor.check()
    if path not in ("linear", "spherical"):
        raise UserError(f"path must be linear or spherical, got {path!r}")
    for one in species:
        missing = [] if isinstance(one, str) else [region for region in amounts if region not in one]
        if missing:
            raise UserError(f"species by region must name one for each mixed region, got none for {missing[0]}")
        for name in by_region(one, amounts).values():
            if name not in (*known, NEAREST):
                raise UserError(f"species must be one of {', '.join((*known, NEAREST))}, got {name!r}")


def by_region(species: WantedSpecies, regions: Mapping[str, float]) -> dict[str, str]:
    """Return what species each mixed region is asked of."""
    return {region: species if isinstance(species, str) else species[region] for region in regions}


class HybridGenerator:
    """Makes hybrids: encodes faces and finds donors by region; then mixes codes and decodes them (`latent`), or lays a donor's looks on
    the decoded face (`exemplar`).
    """

    kind = "hybrid"

    def __init__(
        self, checkpoint: str | LoadedRegionVAE, bank: Bank, device: str = "cpu", donors: Donors | None = None
    ) -> None:
        """Load the network; UserError where the bank says that another made its codes.

        `donors` are the bank's animals with pictures (`rupantara.bank.donors.read`): hybrids are then rendered as `exemplar`.
        """
        self._donors = donors
        self._loaded = loading.load(checkpoint) if isinstance(checkpoint, str) else checkpoint
        self._loaded.model.to(device)
        self._bank = bank
        if donors is not None:
            donors.show_by(animal_decoder(self._loaded.model))
        made_by = getattr(bank, "model_sha256", self._loaded.codes_sha256)
        if made_by != self._loaded.codes_sha256:
            raise UserError(
                f"the bank must be made with the checkpoint: it has model {made_by[:12]}, the checkpoint is"
                f" {self._loaded.codes_sha256[:12]}"
            )

    @property
    def loaded(self) -> LoadedRegionVAE:
        """Return the network, for those who sample people or encode faces beforehand."""
        return self._loaded

    def generate(self, requests: Sequence[HybridRequest]) -> list[list[Generated]]:
        """Return for each request the face itself, if it was asked for, and its hybrids in the order of `species`."""
        bank = self._bank.pinned()
        for request in requests:
            request.check(bank.species)
        faces = self._codes(requests)
        wanted = [
            DonorQuery(i, by_region(species, request.amounts), request.donor)
            for i, request in enumerate(requests)
            for species in request.species
        ]
        lent = iter(find_donors(bank, _stacked(faces), wanted))
        plan = []
        for i, (request, face) in enumerate(zip(requests, faces, strict=True)):
            itself = MixedCodes(face, torch.from_numpy(face.regions_mu), torch.zeros(len(REGIONS)))
            plan += [self._unmixed(i, itself, request)] if request.unmixed else []
            plan += [self._mixed(i, itself, request, species, next(lent)) for species in request.species]
        pictures = self._rendered(plan)
        out: list[list[Generated]] = [[] for _ in requests]
        for one, picture in zip(plan, pictures, strict=True):
            out[one.request].append(Generated(one.record, picture))
        return out

    def _rendered(self, plan: Sequence["_Planned"]) -> list[Picture]:
        """Decode every picture, and lay animals on those that borrow their looks."""
        # The face itself and what is laid on it stand on one decoded picture.
        codes = {id(one.codes): one.codes for one in plan}
        decoded = dict(zip(codes, render(self._loaded.model, list(codes.values())), strict=True))
        out = []
        for one in plan:
            picture = decoded[id(one.codes)]
            points = one.codes.face.landmarks(picture.shape[0])
            out.append(picture if one.loan is None or points is None else lay([picture], [points], [one.loan])[0])
        return out

    def _codes(self, requests: Sequence[HybridRequest]) -> list[FaceCodes]:
        """Return the codes of each request's face; crops are encoded together."""
        crops = [request.face for request in requests if isinstance(request.face, FaceCrop)]
        encoded = iter(encode(self._loaded, crops))
        return [next(encoded) if isinstance(one.face, FaceCrop) else one.face for one in requests]

    def _unmixed(self, number: int, itself: MixedCodes, request: HybridRequest) -> "_Planned":
        """Plan the face itself: a reconstruction, or a sample of the prior."""
        face = itself.face
        record = provenance.record(
            "sample" if face.sampled else "reconstruction",
            [face.face_id],
            {},
            seed=request.seed,
            model_sha256=[self._loaded.sha256],
        )
        return _Planned(number, itself, record)

    def _mixed(
        self,
        number: int,
        itself: MixedCodes,
        request: HybridRequest,
        species: WantedSpecies,
        lent: Mapping[str, Lent],
    ) -> "_Planned":
        """Plan one hybrid: borrow looks or mix codes, and record who lent what."""
        face = itself.face
        borrowed = self._loan(face, request, lent)
        record = self._record(face, request, species, lent, borrowed)
        if borrowed is not None:
            return _Planned(number, itself, record, borrowed)
        animal, amounts = np.zeros_like(face.regions_mu), amount_row(request.amounts)
        for region, one in lent.items():
            animal[REGIONS.index(region)] = one.code
        human = torch.from_numpy(face.regions_mu)[None]
        (regions,) = mix(human, torch.from_numpy(animal)[None], amounts[None], request.path)
        return _Planned(number, MixedCodes(face, regions, amounts), record)

    def _loan(self, face: FaceCodes, request: HybridRequest, lent: Mapping[str, Lent]) -> Loan | None:
        """Find whose pictures a hybrid borrows, None where it is to be decoded from mixed codes."""
        if request.renderer == "latent":
            return None
        species = {region: one.species for region, one in lent.items()}
        known = self._donors.species if self._donors is not None else ()
        points = face.landmarks(self._loaded.model.config.size)
        if self._donors is None or points is None or not set(species.values()) <= set(known):
            if request.renderer == "auto":
                return None
            raise UserError(
                "renderer exemplar needs a bank with pictures of the species and a face with 68 landmarks; got pictures of"
                f" {', '.join(known) or 'none'}, and landmarks {'known' if points is not None else 'unknown'}"
            )
        named = {name.rpartition("/")[0] for one in lent.values() for name in one.ids if name}
        return loan(self._donors, face.face_id, points, species, request.amounts, named)

    def _record(
        self,
        face: FaceCodes,
        request: HybridRequest,
        species: WantedSpecies,
        lent: Mapping[str, Lent],
        borrowed: Loan | None,
    ) -> Record:
        regions = {region: _told(one, request.amounts[region]) for region, one in lent.items()}
        looks: dict[str, Any] = {"renderer": "latent" if borrowed is None else "exemplar"}
        if borrowed is not None:
            looks["looks_of"] = dict(borrowed.donors)
        names = {species} if isinstance(species, str) else set(by_region(species, request.amounts).values())
        return provenance.record(
            "hybrid",
            [face.face_id],
            {"regions": regions, "path": request.path, **request.donor.as_json(), **looks},
            seed=request.seed,
            model_sha256=[self._loaded.sha256],
            species=names.pop() if len(names) == 1 else SEVERAL,
            bank_ids=[name for one in lent.values() for name in one.ids if name],
            scores={
                f"{region}/{k}": score
                for region, one in lent.items()
                for k, score in enumerate(one.scores)
                if np.isfinite(score)
            }
            | ({f"fit/{name}": fit for name, fit in borrowed.fits.items()} if borrowed else {}),
        )


@dataclass(frozen=True)
class _Planned:
    """A picture to be decoded: whose request it is, its codes and its record."""

    request: int
    codes: MixedCodes
    record: Record
    loan: Loan | None = None


def _stacked(faces: Sequence[FaceCodes]) -> np.ndarray:
    return np.stack([face.regions_mu for face in faces]) if faces else np.zeros((0, len(REGIONS), 0), np.float32)


def _told(lent: Lent, amount: float) -> dict[str, Any]:
    attention = [round(weight, 5) for weight in lent.attention]
    return {"species": lent.species, "amount": amount, "bank_ids": lent.ids, "attention": attention}
