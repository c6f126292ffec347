"""Who lends what to many hybrids at once: each species is searched once for all the faces that ask for it."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rupantara.generation.retrieval import Bank, DonorRule, Retrieved, retrieve_all
from rupantara.landmarks.regions import REGIONS

NEAREST = "nearest"
"""In place of a species: for each region the one whose best feature is nearest."""


@dataclass(frozen=True)
class DonorQuery:
    """One hybrid: the row of its face's codes, the species (or NEAREST) of each mixed region, and the rule."""

    row: int
    species: Mapping[str, str]
    rule: DonorRule


class Lent(NamedTuple):
    """What one region of one face takes: a species' code [dim], the features it is the mean of, their cosines and attention [k]."""

    species: str
    code: np.ndarray
    ids: list[str]
    scores: list[float]
    attention: list[float]


class _Search(NamedTuple):
    """One question to the bank."""

    species: str
    regions: tuple[str, ...]
    rule: DonorRule


def find_donors(bank: Bank, codes: np.ndarray, wanted: Sequence[DonorQuery]) -> list[dict[str, Lent]]:
    """Find for each hybrid what each of its regions takes; `codes` are the faces' own, [n, 5, dim].

    A species is searched over the regions that it may lend.
    """
    asked: dict[_Search, dict[int, int]] = {}
    for one in wanted:
        for search in _searches(one, bank.species):
            rows = asked.setdefault(search, {})
            rows.setdefault(one.row, len(rows))
    found = dict(zip(asked, _answers(bank, codes, asked), strict=True))
    return [
        {region: _best(_choices(one, region, bank.species, found, asked)) for region in one.species} for one in wanted
    ]


def _answers(bank: Bank, codes: np.ndarray, asked: Mapping[_Search, Mapping[int, int]]) -> list[dict[str, Retrieved]]:
    """Ask the bank, several species at the same time where it can answer so."""

    def ask(search: _Search) -> dict[str, Retrieved]:
        return _run(bank, codes, search, list(asked[search]))

    workers = min(bank.at_a_time, len(asked))
    if workers < 2:
        return [ask(search) for search in asked]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(ask, asked))


def _searches(one: DonorQuery, known: Sequence[str]) -> Iterator[_Search]:
    """Yield what must be asked for one hybrid."""
    for name in dict.fromkeys(one.species.values()):
        yield from (_Search(species, _regions(one, name), one.rule) for species in _candidates(name, known))


def _regions(one: DonorQuery, name: str) -> tuple[str, ...]:
    return tuple(region for region in REGIONS if one.species.get(region) == name)


def _candidates(name: str, known: Sequence[str]) -> Sequence[str]:
    return sorted(known) if name == NEAREST else (name,)


def _run(bank: Bank, codes: np.ndarray, search: _Search, rows: Sequence[int]) -> dict[str, Retrieved]:
    theirs = {region: codes[rows, REGIONS.index(region)] for region in search.regions}
    return retrieve_all(bank, theirs, search.species, search.rule)


def _choices(
    one: DonorQuery,
    region: str,
    known: Sequence[str],
    found: Mapping[_Search, Mapping[str, Retrieved]],
    asked: Mapping[_Search, Mapping[int, int]],
) -> Iterator[Lent]:
    """Yield what each species that is asked for the region would lend."""
    name = one.species[region]
    for species in _candidates(name, known):
        search = _Search(species, _regions(one, name), one.rule)
        hits, row = found[search][region], asked[search][one.row]
        numbers = (hits.ids[row].tolist(), hits.scores[row].tolist(), hits.weights[row].tolist())
        yield Lent(species, hits.codes[row], *numbers)


def _best(choices: Iterator[Lent]) -> Lent:
    """Return the one whose best feature is nearest; ties go to the first by name."""
    return max(choices, key=lambda lent: lent.scores[0])
