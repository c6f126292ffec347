"""Hybrid faces (*Rupantara*, III.D): each region's code is mixed with codes that a bank of animals gives for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch

from rupantara.landmarks.regions import REGIONS
from rupantara.metrics.cosine import unit
from rupantara.models.placement import hybrid_boxes
from rupantara.models.region_vae import RegionVAE
from rupantara.types import Vectors


class Hits(Protocol):
    """What a search answers (`rupantara.bank.hits.Hits`): best first, scores -inf and ids "" where there are fewer than k."""

    @property
    def scores(self) -> np.ndarray:
        """Return the cosines [queries, k]."""
        ...

    @property
    def ids(self) -> np.ndarray:
        """Return the feature ids [queries, k]."""
        ...

    @property
    def codes(self) -> np.ndarray:
        """Return the aligned region codes [queries, k, dim]."""
        ...


class Space(Protocol):
    """What brings codes of both domains into the space that they are compared in (`rupantara.bank.alignment.Alignment`)."""

    def align(self, codes: Vectors, domain: str, region: str = "") -> Vectors:
        """Carry a region's codes of a domain into the common space."""
        ...

    def restore(self, aligned: Vectors, domain: str, region: str) -> Vectors:
        """Carry them back."""
        ...


class Bank(Protocol):
    """What a hybrid needs of a bank: one index in this process, or the client of many shards."""

    @property
    def alignment(self) -> Space:
        """Return how codes of the two domains are brought into one space."""
        ...

    def search(self, queries: Vectors, region: str, k: int, species: str = "") -> Hits:
        """Find the k best features of a region (and species) for each unit query."""
        ...


@dataclass(frozen=True)
class Mixing:
    """How region codes are mixed (III.D).

    `weights` says how much of the animal each mixed region takes: 0 = the human's code exactly, 1 = the animal's. `mode` is
    the path between them: linear, or spherical (direction along the great circle, length linearly). The animal's code is the
    mean of `top_k` retrieved features, weighted by a softmax of their cosines over `temperature` (attention); with `top_k` 1
    it is the nearest feature. So with `donor` "region"; with "animal" all regions come from the one animal that is nearest in
    their mean cosine, which keeps eyes and muzzle of one kind, and `top_k` has no say.
    """

    regions: tuple[str, ...] = REGIONS
    weights: tuple[float, ...] = (1.0,)
    mode: Literal["linear", "spherical"] = "linear"
    donor: Literal["animal", "region"] = "animal"
    top_k: int = 3
    temperature: float = 0.01

    def weight_of(self, region: str) -> float:
        """Return the weight of a region: 0 if it is not mixed; one weight serves all regions."""
        if region not in self.regions:
            return 0.0
        return self.weights[self.regions.index(region) if len(self.weights) > 1 else 0]


@dataclass(frozen=True)
class Retrieved:
    """For one region and species, for each face: mixed code [n, dim], ids and scores [n, k], weights [n, k]."""

    codes: np.ndarray
    ids: np.ndarray
    scores: np.ndarray
    weights: np.ndarray


def softmax_weights(scores: np.ndarray, temperature: float) -> np.ndarray:
    """Return attention over retrieved features [n, k]: softmax of cosine over temperature; absent ones (-inf) get 0."""
    shifted = (scores - scores.max(axis=1, keepdims=True)) / temperature
    weights = np.exp(shifted)
    return weights / weights.sum(axis=1, keepdims=True)


def retrieve(bank: Bank, codes: np.ndarray, region: str, species: str, mixing: Mixing) -> Retrieved:
    """Find the features of one species nearest to each face's region code [n, dim], and their weighted mean."""
    hits = _search(bank, codes, region, mixing.top_k, species)
    weights = softmax_weights(hits.scores, mixing.temperature)
    found = (hits.codes * weights[:, :, None]).sum(1)
    return Retrieved(bank.alignment.restore(found, "animal", region), hits.ids, hits.scores, weights)


WHOLE_CANDIDATES = 256
"""Features searched in each region for the one animal that lends them all."""


def retrieve_whole(bank: Bank, codes: Mapping[str, np.ndarray], species: str) -> dict[str, Retrieved]:
    """Find for each face the animal of a species nearest in the mean cosine over regions, and its codes of all of them.

    `codes` holds each wanted region's [n, dim]. Where no animal is among the WHOLE_CANDIDATES of every region, each region
    takes its own nearest.
    """
    found = {region: _search(bank, code, region, WHOLE_CANDIDATES, species) for region, code in codes.items()}
    count = len(next(iter(codes.values())))
    places = [_common(found, row) for row in range(count)]
    out = {}
    for region, hits in found.items():
        at = np.array([place[region] for place in places])[:, None]
        rows = np.arange(count)[:, None]
        taken = bank.alignment.restore(hits.codes[rows, at][:, 0], "animal", region)
        out[region] = Retrieved(taken, hits.ids[rows, at], hits.scores[rows, at], np.ones((count, 1)))
    return out


def retrieve_all(bank: Bank, codes: Mapping[str, np.ndarray], species: str, mixing: Mixing) -> dict[str, Retrieved]:
    """Find what each region of each face takes from a species, as `mixing.donor` says; `codes` [n, dim] by region."""
    if mixing.donor == "animal":
        return retrieve_whole(bank, codes, species)
    return {region: retrieve(bank, code, region, species, mixing) for region, code in codes.items()}


def _common(found: Mapping[str, Hits], row: int) -> dict[str, int]:
    """Return where in each region's hits the animal lies that is best over all regions."""
    seats = {
        region: {str(i).rpartition("/")[0]: k for k, i in enumerate(hits.ids[row]) if i}
        for region, hits in found.items()
    }
    everywhere = sorted(set.intersection(*(set(animals) for animals in seats.values())))
    if not everywhere:
        return dict.fromkeys(found, 0)
    means = [np.mean([found[region].scores[row, seats[region][animal]] for region in found]) for animal in everywhere]
    best = everywhere[int(np.argmax(means))]
    return {region: seats[region][best] for region in found}


def _search(bank: Bank, codes: np.ndarray, region: str, k: int, species: str) -> Hits:
    """Search the bank with aligned unit codes; ValueError when it has nothing of the species."""
    queries, _ = unit(bank.alignment.align(codes, "human", region))
    hits = bank.search(queries, region, k, species)
    if not np.isfinite(hits.scores[:, 0]).all():
        raise ValueError(f"the bank has no {region} of species {species!r}")
    return hits


def nearest_species(found: dict[str, Retrieved]) -> list[str]:
    """Return for each face the species whose best match is nearest; ties go to the first by name."""
    names = sorted(found)
    best = np.stack([found[name].scores[:, 0] for name in names], axis=1)
    return [names[i] for i in best.argmax(axis=1)]


def mix(regions_mu: torch.Tensor, animal: np.ndarray, mixing: Mixing) -> torch.Tensor:
    """Carry region codes [n, 5, dim] towards the animal's; weight 0 leaves a code as it is, to the bit, and 1 gives the animal's."""
    target = torch.from_numpy(animal).to(regions_mu)
    weights = regions_mu.new_tensor([mixing.weight_of(name) for name in REGIONS])[None, :, None]
    path = slerp if mixing.mode == "spherical" else torch.lerp
    between = path(regions_mu, target, weights.expand_as(regions_mu))
    return torch.where(weights == 0, regions_mu, torch.where(weights == 1, target, between))


LEAST_LENGTH = 1e-12
"""A shorter vector has no direction."""


def slerp(a: torch.Tensor, b: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Interpolate vectors [..., dim] spherically (Shoemake, 1985): the direction along the great circle, the length linearly.

    Nearly parallel or opposite vectors, and zero ones, which have no great circle, are interpolated linearly.
    """
    lengths = [v.norm(dim=-1, keepdim=True) for v in (a, b)]
    ua, ub = (v / n.clamp(min=LEAST_LENGTH) for v, n in zip((a, b), lengths, strict=True))
    angle = (ua * ub).sum(-1, keepdim=True).clamp(-1, 1).arccos()
    sine = angle.sin()
    arc = (((1 - weight) * angle).sin() * ua + (weight * angle).sin() * ub) / sine.clamp(min=1e-6)
    curved = torch.lerp(*(n.expand_as(a) for n in lengths), weight) * arc
    straight = (sine < 1e-3) | (torch.minimum(*lengths) < LEAST_LENGTH)
    return torch.where(straight, torch.lerp(a, b, weight), curved)


def decode(
    model: RegionVAE, global_mu: torch.Tensor, regions: torch.Tensor, boxes: np.ndarray, mixing: Mixing | None = None
) -> torch.Tensor:
    """Decode codes as humans; with `mixing`, mixed regions lie by their weights where an animal's belong."""
    humans, places = torch.zeros(len(boxes), dtype=torch.long), torch.from_numpy(boxes)
    if mixing is not None:
        shares = places.new_tensor([mixing.weight_of(name) for name in REGIONS]).expand(len(boxes), -1)
        places = hybrid_boxes(places, shares)
    with torch.inference_mode():
        return model.decode(global_mu, regions, places, humans)
