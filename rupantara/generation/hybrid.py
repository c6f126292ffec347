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
"""Features searched first in each region for the one animal that lends them all; twice as many each time it is not settled."""

WHOLE_ROOM = 2**16
"""Features of a region held at a time, over the faces searched together: 32 MB of codes of 128 numbers."""


def retrieve_whole(bank: Bank, codes: Mapping[str, np.ndarray], species: str) -> dict[str, Retrieved]:
    """Find for each face the animal of a species with the greatest mean cosine over regions, and its codes of all of them.

    `codes` holds each wanted region's [n, dim]. Exact: faces are searched again, wider, as long as an animal that some region
    left out could still be better. Ties go to the first by id.
    """
    count, num = len(next(iter(codes.values()))), WHOLE_CANDIDATES
    lent = {region: np.zeros(code.shape, np.float32) for region, code in codes.items()}
    ids = {region: np.full((count, 1), "", object) for region in codes}
    scores = {region: np.zeros((count, 1), np.float32) for region in codes}
    left = list(range(count))
    while left:
        again, step = [], max(1, WHOLE_ROOM // num)
        for rows in (left[start : start + step] for start in range(0, len(left), step)):
            found = {region: _search(bank, code[rows], region, num, species) for region, code in codes.items()}
            places = {i: place for i in range(len(rows)) if (place := _best_over_all(found, i)) is not None}
            settled, at = list(places), [rows[i] for i in places]
            again += [row for i, row in enumerate(rows) if i not in places]
            for region, hits in found.items():
                seats = [place[region] for place in places.values()]
                lent[region][at] = hits.codes[settled, seats]
                ids[region][at, 0], scores[region][at, 0] = hits.ids[settled, seats], hits.scores[settled, seats]
        left, num = again, 2 * num
    raw = {region: bank.alignment.restore(code, "animal", region) for region, code in lent.items()}
    return {region: Retrieved(raw[region], ids[region], scores[region], np.ones((count, 1))) for region in codes}


def retrieve_all(bank: Bank, codes: Mapping[str, np.ndarray], species: str, mixing: Mixing) -> dict[str, Retrieved]:
    """Find what each region of each face takes from a species, as `mixing.donor` says; `codes` [n, dim] by region."""
    if mixing.donor == "animal":
        return retrieve_whole(bank, codes, species)
    return {region: retrieve(bank, code, region, species, mixing) for region, code in codes.items()}


def _best_over_all(found: Mapping[str, Hits], row: int) -> dict[str, int] | None:
    """Return where in each region's hits the animal lies that is best over all regions; None where that is not settled yet.

    What a region left out scores there at most as its last hit does, and nothing (-inf) where the hits are all there is:
    that bounds every animal that is not among the hits of all regions (Fagin et al., 2003, no random access).
    """
    last = sum(float(hits.scores[row, -1]) for hits in found.values())
    seats: dict[str, dict[str, int]] = {}
    for region, hits in found.items():
        for k, name in enumerate(hits.ids[row]):
            if name:
                seats.setdefault(str(name).rpartition("/")[0], {})[region] = k
    totals = {
        animal: sum(float(hits.scores[row, places.get(region, -1)]) for region, hits in found.items())
        for animal, places in seats.items()
    }
    whole = sorted(animal for animal, places in seats.items() if len(places) == len(found))
    if not whole:
        if not np.isfinite(last):
            raise ValueError(f"the bank must have an animal with {', '.join(found)}, got none")
        return None
    best = max(whole, key=lambda animal: totals[animal])
    bound = max([last, *(totals[animal] for animal, places in seats.items() if len(places) < len(found))])
    return seats[best] if totals[best] > bound else None


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
