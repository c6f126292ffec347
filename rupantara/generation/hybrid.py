"""Hybrid faces (*Rupantara*, III.D): each region's code is mixed with codes that a bank of animals gives for it."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from rupantara.landmarks.regions import REGIONS
from rupantara.metrics.cosine import unit
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
        """Return the region codes [queries, k, dim]."""
        ...


class Bank(Protocol):
    """What a hybrid needs of a bank: one index in this process, or the client of many shards."""

    def search(self, queries: Vectors, region: str, k: int, species: str = "") -> Hits:
        """Find the k best features of a region (and species) for each unit query."""
        ...


@dataclass(frozen=True)
class Mixing:
    """Regions to mix, how much (0 = the human's, 1 = the animal's), how many features, and the softmax's temperature."""

    regions: tuple[str, ...] = REGIONS
    weight: float = 1.0
    top_k: int = 3
    temperature: float = 0.01


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
    queries, _ = unit(codes)
    hits = bank.search(queries, region, mixing.top_k, species)
    if not np.isfinite(hits.scores[:, 0]).all():
        raise ValueError(f"the bank has no {region} of species {species!r}")
    weights = softmax_weights(hits.scores, mixing.temperature)
    return Retrieved((hits.codes * weights[:, :, None]).sum(1), hits.ids, hits.scores, weights)


def nearest_species(found: dict[str, Retrieved]) -> list[str]:
    """Return for each face the species whose best match is nearest; ties go to the first by name."""
    names = sorted(found)
    best = np.stack([found[name].scores[:, 0] for name in names], axis=1)
    return [names[i] for i in best.argmax(axis=1)]


def mix(regions_mu: torch.Tensor, animal: np.ndarray, mixing: Mixing) -> torch.Tensor:
    """Interpolate region codes [n, 5, dim] towards the animal's in the chosen regions; weight 0 changes nothing."""
    chosen = torch.tensor([name in mixing.regions for name in REGIONS])[None, :, None]
    mixed = torch.lerp(regions_mu, torch.from_numpy(animal).to(regions_mu.dtype), mixing.weight)
    return torch.where(chosen, mixed, regions_mu)


def decode(model: RegionVAE, global_mu: torch.Tensor, regions: torch.Tensor, boxes: np.ndarray) -> torch.Tensor:
    """Decode codes as humans."""
    humans = torch.zeros(len(boxes), dtype=torch.long)
    with torch.inference_mode():
        return model.decode(global_mu, regions, torch.from_numpy(boxes), humans)
