"""Which animals lend a hybrid its regions (*Rupantara*, III.D): retrieval from a bank of region codes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from rupantara.errors import UserError
from rupantara.metrics.cosine import unit
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
    def species(self) -> tuple[str, ...]:
        """Return the species that it holds."""
        ...

    @property
    def alignment(self) -> Space:
        """Return how codes of the two domains are brought into one space."""
        ...

    @property
    def at_a_time(self) -> int:
        """Return how many questions it can answer at the same time, each asked by a thread of its own."""
        ...

    def num_faces(self, species: str) -> int:
        """Return how many animals of a species it holds."""
        ...

    def search_regions(self, queries: Mapping[str, Vectors], k: int, species: str = "") -> Mapping[str, Hits]:
        """Find the k best features of each region (and species) for unit queries [n, dim] by region, in one call."""
        ...

    def pinned(self) -> "Bank":
        """Return this bank at its present version, for several questions that belong together."""
        ...


@dataclass(frozen=True)
class DonorRule:
    """Who lends a face its regions.

    `by` "animal": all regions come from the one animal with the greatest mean cosine over them, which keeps eyes and muzzle of one
    kind. `by` "region": each region takes the mean of its `top_k` nearest features, weighted by a softmax of their cosines over
    `temperature` (attention); with `top_k` 1 it is the nearest feature.
    """

    by: Literal["animal", "region"] = "animal"
    top_k: int = 3
    temperature: float = 0.01

    def check(self) -> None:
        """Raise UserError for a rule that cannot be followed."""
        if self.by not in ("animal", "region"):
            raise UserError(f"donor must be animal or region, got {self.by!r}")
        if self.top_k < 1 or not self.temperature > 0:
            raise UserError(f"top_k must be at least 1 and temperature above 0, got {self.top_k}, {self.temperature}")

    def as_json(self) -> dict[str, str | int | float]:
        """Return what of the rule has a say, for a record."""
        if self.by == "animal":
            return {"donor": self.by}
        return {"donor": self.by, "top_k": self.top_k, "temperature": self.temperature}


@dataclass(frozen=True)
class Retrieved:
    """What one species lends each of n faces for one region: code [n, dim], ids, cosines and attention [n, k]."""

    codes: np.ndarray
    ids: np.ndarray
    scores: np.ndarray
    weights: np.ndarray


def softmax_weights(scores: np.ndarray, temperature: float) -> np.ndarray:
    """Return attention over retrieved features [n, k]: softmax of cosine over temperature; absent ones (-inf) get 0."""
    shifted = (scores - scores.max(axis=1, keepdims=True)) / temperature
    weights = np.exp(shifted)
    return weights / weights.sum(axis=1, keepdims=True)


def retrieve(bank: Bank, codes: Mapping[str, np.ndarray], species: str, rule: DonorRule) -> dict[str, Retrieved]:
    """Find the features of one species nearest to each face's code of each region [n, dim], and their weighted mean."""
    out = {}
    for region, hits in _search(bank, codes, rule.top_k, species).items():
        weights = softmax_weights(hits.scores, rule.temperature)
        found = (hits.codes * weights[:, :, None]).sum(1)
        restored = bank.alignment.restore(found, "animal", region)
        out[region] = Retrieved(restored, hits.ids, hits.scores, weights)
    return out


WHOLE_CANDIDATES = 256
"""Features searched first in each region for the one animal that lends them all; twice as many each time that it is not settled."""

WHOLE_ROOM = 2**16
"""Features of a region held at a time, over the faces searched together: 32 MB of codes of 128 numbers."""


def retrieve_whole(bank: Bank, codes: Mapping[str, np.ndarray], species: str) -> dict[str, Retrieved]:
    """Find for each face the animal of a species with the greatest mean cosine over regions, and its codes of all of them.

    `codes` holds each wanted region's [n, dim]. Exact: faces are searched again, wider, as long as an animal that some region
    left out could still be better. Ties go to the first by id.
    """
    count, most = len(next(iter(codes.values()))), max(1, bank.num_faces(species))
    num = min(WHOLE_CANDIDATES, most + 1)
    lent = {region: np.zeros(code.shape, np.float32) for region, code in codes.items()}
    ids = {region: np.full((count, 1), "", object) for region in codes}
    scores = {region: np.zeros((count, 1), np.float32) for region in codes}
    left = list(range(count))
    while left:
        again, step = [], max(1, WHOLE_ROOM // num)
        for rows in (left[start : start + step] for start in range(0, len(left), step)):
            found = _search(bank, {region: code[rows] for region, code in codes.items()}, num, species)
            places = {i: place for i in range(len(rows)) if (place := _best_over_all(found, i)) is not None}
            settled, at = list(places), [rows[i] for i in places]
            again += [row for i, row in enumerate(rows) if i not in places]
            for region, hits in found.items():
                seats = [place[region] for place in places.values()]
                lent[region][at] = hits.codes[settled, seats]
                ids[region][at, 0], scores[region][at, 0] = hits.ids[settled, seats], hits.scores[settled, seats]
        left, num = again, min(2 * num, most + 1)
    raw = {region: bank.alignment.restore(code, "animal", region) for region, code in lent.items()}
    return {region: Retrieved(raw[region], ids[region], scores[region], np.ones((count, 1))) for region in codes}


def retrieve_all(bank: Bank, codes: Mapping[str, np.ndarray], species: str, rule: DonorRule) -> dict[str, Retrieved]:
    """Find what each region of each face takes from a species, as the rule says; `codes` [n, dim] by region."""
    if rule.by == "animal":
        return retrieve_whole(bank, codes, species)
    return retrieve(bank, codes, species, rule)


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


def _search(bank: Bank, codes: Mapping[str, np.ndarray], k: int, species: str) -> Mapping[str, Hits]:
    """Search the bank with aligned unit codes; ValueError when it has nothing of the species."""
    queries = {region: unit(bank.alignment.align(code, "human", region))[0] for region, code in codes.items()}
    found = bank.search_regions(queries, k, species)
    for region, hits in found.items():
        if not np.isfinite(hits.scores[:, 0]).all():
            raise ValueError(f"the bank has no {region} of species {species!r}")
    return found
