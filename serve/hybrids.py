"""The region VAE and the bank behind the endpoints: faces to codes, hybrids, nearest animals and affinities."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch

from rupantara.bank.affinity import mean_affinity
from rupantara.errors import UserError
from rupantara.faces.arrays import to_images, to_pictures
from rupantara.generation import hybrid, loading, provenance
from rupantara.generation.hybrid import Mixing, Retrieved
from rupantara.generation.protocol import Generated, Record
from rupantara.imaging import codec
from rupantara.landmarks.regions import REGIONS, part_boxes
from rupantara.metrics.cosine import unit
from rupantara.models.placement import hybrid_boxes
from rupantara.types import Picture
from serve.bank import Bank
from serve.faces import Codes, Face

NEAREST = "nearest"


@dataclass(frozen=True)
class HybridRequest:
    """A face, and by region the species (or `nearest`) and the amount (0 = the person's, 1 = the animal's)."""

    face: Face
    species: Mapping[str, str] = field(default_factory=dict)
    amount: Mapping[str, float] = field(default_factory=dict)
    mode: Literal["linear", "spherical"] = "linear"
    donor: Literal["animal", "region"] = "animal"
    seed: int = 0

    def with_face(self, face: Face) -> "HybridRequest":
        """Return the request for a face that was encoded meanwhile."""
        return replace(self, face=face)


class HybridMaker:
    """One checkpoint and its bank: `encode`, `generate`, `search`, `affinity`, `sample`."""

    kind = "hybrid"

    def __init__(self, checkpoint: str, bank: Bank | None, threads: int) -> None:
        """Load the model; UserError where the bank is of another."""
        torch.set_num_threads(threads)
        self._loaded, self.bank = loading.load(checkpoint), bank
        if bank is not None and bank.model_sha256 != self._loaded.sha256:
            raise UserError(f"bank must be made with checkpoint: {bank.uri} is of another model than {checkpoint}")
        self.sha256 = self._loaded.sha256
        config = self._loaded.model.config
        self.size, self.global_dim, self.region_dim = config.size, config.global_dim, config.region_dim

    @property
    def species(self) -> tuple[str, ...]:
        """Return the species of the bank."""
        return self.bank.species if self.bank is not None else ()

    @property
    def samples(self) -> bool:
        """Tell whether people can be sampled."""
        return self._loaded.prior is not None

    @torch.inference_mode()
    def encode(self, faces: Sequence[Face]) -> list[Codes]:
        """Return the codes of aligned crops, in one batch."""
        pictures = np.stack([codec.resize(_crop(face), self.size) for face in faces])
        places = torch.from_numpy(np.stack([face.boxes for face in faces]))
        humans = self._loaded.model.config.domain_index(["human"] * len(faces))
        posterior = self._loaded.model.encode(to_images(pictures), places, humans)
        rows = zip(posterior.global_mu.numpy(), posterior.regions_mu.numpy(), strict=True)
        return [Codes(global_mu, regions_mu, self.sha256) for global_mu, regions_mu in rows]

    def blank(self) -> Face:
        """Return a grey face, to warm up with."""
        return Face("blank-0", part_boxes(None, "human", self.size), np.full((self.size, self.size, 3), 128, np.uint8))

    def sample(self, seed: int, truncation: float) -> Face:
        """Draw a person of nobody from the checkpoint's prior."""
        prior = self._loaded.prior
        if prior is None:
            raise UserError("sampling people needs a checkpoint with a prior, as jobs.pack makes")
        global_mu, regions_mu = prior.sample(1, (seed, 0), self.global_dim, truncation)
        codes = Codes(global_mu[0].numpy(), regions_mu[0].numpy(), self.sha256)
        return Face(f"sample-{seed}-0", np.array(prior.boxes, np.float32), codes=codes)

    def pictures(self, faces: Sequence[Face]) -> list[Picture]:
        """Decode faces' own codes: their reconstructions."""
        codes = [_codes(face) for face in faces]
        regions = torch.from_numpy(np.stack([c.regions_mu for c in codes]))
        return self._decode(faces, regions, np.zeros((len(faces), len(REGIONS)), np.float32))

    def generate(self, requests: Sequence[HybridRequest]) -> list[list[Generated]]:
        """Make one hybrid a request, all decoded in one batch; UserError before any network runs."""
        for request in requests:
            check(request, self.species)
        found = [self._retrieved(request) for request in requests]
        regions = np.stack([self._mixed(*one) for one in zip(requests, found, strict=True)])
        shares = np.array([[r.amount.get(name, 0.0) for name in REGIONS] for r in requests], np.float32)
        pictures = self._decode([r.face for r in requests], torch.from_numpy(regions), shares)
        rows = zip(requests, found, pictures, strict=True)
        return [[Generated(self._record(request, lent), picture)] for request, lent, picture in rows]

    def search(self, face: Face, regions: Sequence[str], k: int, species: str) -> dict[str, list[dict[str, Any]]]:
        """Return the k features nearest to each region of a face: id, species and cosine, best first."""
        bank, queries = self._bank(), self._queries(face, regions)
        if species and species not in bank.species:
            raise UserError(f"species must be one of {', '.join(bank.species)} or empty, got {species!r}")
        out: dict[str, list[dict[str, Any]]] = {region: [] for region in regions}
        # A hit does not name its species: each is asked for by itself.
        for name in (species,) if species else bank.species:
            for region, hits in bank.search_regions(queries, k, name, vectors=False).items():
                out[region] += _told(hits.ids[0], hits.scores[0], name)
        return {r: sorted(rows, key=lambda row: (-row["cosine"], row["bank_id"]))[:k] for r, rows in out.items()}

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
        codes, alignment = _codes(face).regions_mu, self._bank().alignment
        return {r: unit(alignment.align(codes[None, REGIONS.index(r)], "human", r))[0] for r in regions}

    def _retrieved(self, request: HybridRequest) -> dict[str, tuple[str, Retrieved]]:
        """Search for the mixed regions: (species, what was found) by region; regions of one species share one animal."""
        bank, codes = self._bank(), _codes(request.face).regions_mu
        groups: dict[str, list[str]] = {}
        for region, amount in request.amount.items():
            if amount > 0:
                groups.setdefault(request.species.get(region, NEAREST), []).append(region)
        mixing = Mixing(donor=request.donor)
        out = {}
        for name, regions in groups.items():
            rows = {region: codes[None, REGIONS.index(region)] for region in regions}
            names = self.species if name == NEAREST else (name,)
            found = {one: hybrid.retrieve_all(bank, rows, one, mixing) for one in names}
            for region in regions:
                nearest = max(names, key=lambda one: float(found[one][region].scores[0, 0]))
                out[region] = (nearest, found[nearest][region])
        return out

    def _mixed(self, request: HybridRequest, found: Mapping[str, tuple[str, Retrieved]]) -> np.ndarray:
        codes = _codes(request.face).regions_mu
        animal = np.zeros_like(codes)
        for region, (_, lent) in found.items():
            animal[REGIONS.index(region)] = lent.codes[0]
        weights = tuple(request.amount.get(region, 0.0) for region in REGIONS)
        mixing = Mixing(REGIONS, weights, request.mode)
        return hybrid.mix(torch.from_numpy(codes[None]), animal[None], mixing)[0].numpy()

    @torch.inference_mode()
    def _decode(self, faces: Sequence[Face], regions: torch.Tensor, shares: np.ndarray) -> list[Picture]:
        """Decode a batch; mixed regions lie by their shares [n, 5] where an animal's belong."""
        global_mu = torch.from_numpy(np.stack([_codes(face).global_mu for face in faces]))
        places = torch.from_numpy(np.stack([face.boxes for face in faces]))
        places = hybrid_boxes(places, torch.from_numpy(shares))
        humans = torch.zeros(len(faces), dtype=torch.long)
        return list(to_pictures(self._loaded.model.decode(global_mu, regions, places, humans)))

    def _record(self, request: HybridRequest, found: Mapping[str, tuple[str, Retrieved]]) -> Record:
        regions: dict[str, dict[str, Any]] = {
            region: {
                "species": name,
                "weight": request.amount[region],
                "bank_ids": [i for i in lent.ids[0].tolist() if i],
                "attention": [round(float(w), 5) for w in lent.weights[0]],
            }
            for region, (name, lent) in found.items()
        }
        names = sorted({name for name, _ in found.values()})
        parameters = {
            "kind": self.kind,
            "species": names[0] if len(names) == 1 else "+".join(names) or "human",
            "regions": regions,
            "mode": request.mode,
            "donor": request.donor,
            "face_id": request.face.face_id,
            "model_sha256": self.sha256,
            "seed": request.seed,
        }
        return Record(
            provenance.request_id(**parameters),
            self.kind,
            (request.face.face_id,),
            parameters,
            request.seed,
            (self.sha256,),
            parameters["species"],
            tuple(i for one in regions.values() for i in one["bank_ids"]),
            {region: round(float(lent.scores[0, 0]), 5) for region, (_, lent) in found.items()},
        )


def check(request: HybridRequest, species: tuple[str, ...]) -> None:
    """Raise UserError for parameters that can not be, with these species in the bank."""
    unknown = [name for name in (*request.species, *request.amount) if name not in REGIONS]
    if unknown:
        raise UserError(f"regions must be of {', '.join(REGIONS)}, got {', '.join(unknown)}")
    for name in request.species.values():
        if name not in (*species, NEAREST):
            raise UserError(f"species must be one of {', '.join((*species, NEAREST))}, got {name!r}")
    for region, amount in request.amount.items():
        if not 0 <= amount <= 1:
            raise UserError(f"amount of {region} must be in [0, 1], got {amount}")


def _crop(face: Face) -> Picture:
    if face.crop is None:
        raise UserError("the face must have a picture, it is a token of codes alone")
    return face.crop


def _codes(face: Face) -> Codes:
    assert face.codes is not None, "read and encoded before"
    return face.codes


def _told(ids: np.ndarray, scores: np.ndarray, species: str) -> list[dict[str, Any]]:
    there = np.isfinite(scores)
    rows = zip(ids[there], scores[there], strict=True)
    return [{"bank_id": str(name), "species": species, "cosine": round(float(score), 5)} for name, score in rows]
