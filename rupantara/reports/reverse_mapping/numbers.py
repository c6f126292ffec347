"""The tables that every figure and sentence of the report is made from, out of merged statistics alone.

Each is a list of rows (dictionaries); they are written beside the report as CSV and Parquet.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from rupantara.metrics.affinity_file import AffinityResults, SpaceResult
from rupantara.metrics.affinity_summary import (
    COSINE,
    OVERALL,
    PROBABILITY,
    ROWS,
    Ranking,
    compare_groups,
    halves,
    label_test,
    rank,
    with_overall,
)
from rupantara.metrics.affinity_sums import ALL, MEASURES

Rows = list[dict[str, Any]]
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
LEAST_GROUP = 20
"""Groups of fewer faces are not compared."""


@dataclass(frozen=True)
class Numbers:
    """Tables by name, and what was mapped; `first` is the space of the table and of all figures but the comparison of spaces."""

    tables: Mapping[str, Rows]
    about: Mapping[str, Any]
    first: str
    species: tuple[str, ...]
    faces: int

    def of(self, table: str, **equal: Any) -> Rows:
        """Return a table's rows whose columns have these values."""
        return [row for row in self.tables[table] if all(row[k] == v for k, v in equal.items())]

    def grid(self, table: str, value: str, **equal: Any) -> np.ndarray:
        """Return a column as an array [6 regions, species], rows as ROWS."""
        found = {(row["region"], row["species"]): row[value] for row in self.of(table, **equal)}
        return np.array([[found.get((r, s), np.nan) for s in self.species] for r in ROWS], float)


def numbers(file: AffinityResults) -> Numbers:
    """Compute all tables."""
    first = next(iter(file.spaces))
    result = file.spaces[first]
    species = result.members.groups[: result.members.num_species]
    rankings = {name: _rankings(one) for name, one in file.spaces.items()}
    tables = {
        "species": [row for name, one in file.spaces.items() for row in _species(name, one, rankings[name])],
        "orderings": list(_orderings({n: r[1] for n, r in rankings.items() if ranks(n)}, file.spaces, species)),
        "boxes": [row for name, one in file.spaces.items() for row in _boxes(name, one)],
        "groups": list(_groups(result)),
        "differences": list(_differences(result, species)),
        "calibration": list(_calibration(result)),
        "stability": [row for name, one in file.spaces.items() for row in _stability(name, one)],
        "spaces": [
            {
                "space": name,
                "meaning": file.about["meanings"][name],
                "ranks": ranks(name),
                "faces": one.sums.groups[ALL].count,
            }
            for name, one in file.spaces.items()
        ],
    }
    return Numbers(tables, file.about, first, species, result.sums.groups[ALL].count)


def ranks(space: str) -> bool:
    """Tell whether a space, also one of other vectors (`VECTORS/SPACE`), may rank populations."""
    return space.rpartition("/")[2] != "aligned"


def _rankings(one: SpaceResult) -> tuple[Ranking, Ranking]:
    return rank(one.sums, one.members, COSINE), rank(one.sums, one.members, PROBABILITY)


def _species(space: str, one: SpaceResult, rankings: tuple[Ranking, Ranking]) -> Iterator[dict[str, Any]]:
    """Yield a row a region and species: all measures, intervals, rank sets, and how chance would do."""
    sums, members = one.sums, one.members
    cells = with_overall(sums.groups[ALL].mean, 0)
    test = label_test(sums, members)
    animals = np.bincount(members.group, minlength=len(members.groups))
    cosine, probability = rankings
    for i, region in enumerate(ROWS):
        place = {int(s): n + 1 for n, s in enumerate(probability.order(i))}
        for s in range(members.num_species):
            yield {
                "space": space,
                "region": region,
                "species": members.groups[s],
                "faces": sums.groups[ALL].count,
                "animals": int(animals[s]),
                **{m: float(cells[i, s, j]) for j, m in enumerate(MEASURES) if members.people or j < 4},
                "mean_low": float(cosine.low[i, s]),
                "mean_high": float(cosine.high[i, s]),
                "probability_low": float(probability.low[i, s]),
                "probability_high": float(probability.high[i, s]),
                "place": place[s],
                "rank_least": int(probability.ranks[i].least[s]),
                "rank_greatest": int(probability.ranks[i].greatest[s]),
                "cosine_rank_least": int(cosine.ranks[i].least[s]),
                "cosine_rank_greatest": int(cosine.ranks[i].greatest[s]),
                "label_p": float(test.corrected[i, s]),
                "lead_d": float(test.effects[i, s]),
            }


def _orderings(
    rankings: Mapping[str, Ranking], spaces: Mapping[str, SpaceResult], species: tuple[str, ...]
) -> Iterator[dict[str, Any]]:
    """Yield each pair of species and region: the corrected p-value of "first is nearer" in each space, and where it holds.

    Over all regions also, whether both halves of the bank have them in that order in every space, by mean cosine.
    """
    by_halves = [one for name in rankings for one in halves(spaces[name].sums, spaces[name].members)]
    for i, region in enumerate(ROWS):
        for a, b in combinations(range(len(species)), 2):
            p = {name: r.ranks[i].p_values for name, r in rankings.items()}
            ahead = [(a, b) if np.mean([r.mean[i, a] - r.mean[i, b] for r in rankings.values()]) >= 0 else (b, a)][0]
            holds = [name for name in p if p[name][ahead] <= 0.05]
            against = [name for name in p if p[name][ahead[::-1]] <= 0.05]
            same = all(half[ahead[0]] > half[ahead[1]] for half in by_halves)
            yield {
                "region": region,
                "nearer": species[ahead[0]],
                "than": species[ahead[1]],
                **{f"p_{name}": float(value[ahead]) for name, value in p.items()},
                "holds_in": " ".join(holds),
                "reversed_in": " ".join(against),
                "holds_in_all": len(holds) == len(p) > 0,
                "holds_in_halves": same if region == OVERALL else None,
            }


def _boxes(space: str, one: SpaceResult) -> Iterator[dict[str, Any]]:
    groups = len(one.members.groups)
    for measure, sketch in (("mean", one.sums.cosines), ("probability", one.sums.probabilities)):
        found = np.stack([sketch.compute(q) for q in QUANTILES], axis=1)
        for i, region in enumerate(ROWS[:-1]):
            for s in range(one.members.num_species):
                values = {
                    f"q{round(100 * q):02d}": float(v) for q, v in zip(QUANTILES, found[i * groups + s], strict=True)
                }
                who = {"space": space, "measure": measure, "region": region, "species": one.members.groups[s]}
                yield {**who, **values, "error": sketch.error}


def _groups(one: SpaceResult) -> Iterator[dict[str, Any]]:
    """Yield each group of faces by region and species: how many, mean cosine, probability, and its deviation over faces."""
    for name, sums in sorted(one.sums.groups.items()):
        mean, deviation = with_overall(sums.mean, 0), sums.deviation
        for i, region in enumerate(ROWS):
            for s in range(one.members.num_species):
                spread = float(deviation[i, s, 3]) if region != OVERALL else None
                yield {
                    "group": name,
                    "region": region,
                    "species": one.members.groups[s],
                    "faces": sums.count,
                    "mean": float(mean[i, s, 0]),
                    "probability": float(mean[i, s, 3]),
                    "probability_deviation": spread,
                }


def _differences(one: SpaceResult, species: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Yield every two groups of one attribute, compared region by region."""
    by: dict[str, list[str]] = {}
    for name, sums in sorted(one.sums.groups.items()):
        if name != ALL and sums.count >= LEAST_GROUP:
            by.setdefault(name.partition("=")[0], []).append(name)
    for attribute, names in by.items():
        for first, second in combinations(names, 2):
            found = compare_groups(one.sums, one.members, first, second)
            for i, region in enumerate(ROWS):
                for s, name in enumerate(species):
                    yield {
                        "attribute": attribute,
                        "first": first,
                        "second": second,
                        "region": region,
                        "species": name,
                        "difference": float(found.mean[i, s]),
                        "low": float(found.low[i, s]),
                        "high": float(found.high[i, s]),
                        "p": float(found.p_values[i, s]),
                        "d": float(found.effects[i, s]),
                    }


def _calibration(one: SpaceResult) -> Iterator[dict[str, Any]]:
    """Yield how near people are to other people, and the reference's animals to each species: the scale's two ends."""
    groups = one.members.groups
    if one.members.people:
        cells = with_overall(one.sums.groups[ALL].mean, 0)
        for i, region in enumerate(ROWS):
            measures = {m: float(cells[i, -1, j]) for j, m in enumerate(MEASURES)}
            yield {"faces": "human", "region": region, "species": groups[-1], **measures}
    for name, sums in sorted(one.own.groups.items()) if one.own else ():
        if name == ALL:
            continue
        cells = with_overall(sums.mean, 0)
        for i, region in enumerate(ROWS):
            for s in range(one.members.num_species):
                measures = {m: float(cells[i, s, j]) for j, m in enumerate(MEASURES) if j < 4}
                yield {"faces": name.partition("=")[2], "region": region, "species": groups[s], **measures}


def _stability(space: str, one: SpaceResult) -> Iterator[dict[str, Any]]:
    """Yield each species' mean cosine by two halves of the bank."""
    first, second = halves(one.sums, one.members)
    for s in range(one.members.num_species):
        values = {"half_1": float(first[s]), "half_2": float(second[s])}
        yield {"space": space, "species": one.members.groups[s], **values}
