"""Curation says what became of people and of animals, which species lost most of its pictures, and why."""

from collections import Counter
from types import SimpleNamespace

from jobs.runtime import summary
from rupantara.reports import funnel


def test_a_species_that_loses_most_is_named_with_its_reasons() -> None:
    by = {
        "leopard": Counter(accepted=1, no_face=4, turned_away=1),
        "lion": Counter(accepted=4, no_face=2),
        "wolf": Counter(no_face=3),
    }
    counts = SimpleNamespace(by_species=by)
    assert funnel.losses(counts) == ["warning: leopard keeps 1 of 6 rows (no_face 4, turned_away 1)"]


def test_rejects_of_people_and_of_animals_are_told_apart() -> None:
    by = {
        "cat": Counter(accepted=1, not_sure=2),
        "fox": Counter(accepted=2, no_face=3, not_sure=2),
        "human": Counter(accepted=4),
        "unknown": Counter(unreadable=1),
    }
    assert funnel.of_whom(SimpleNamespace(by_species=by)) == [
        "people: 4 accepted, 0 rejected",
        "animals: 3 accepted, 7 rejected (not_sure 4, no_face 3)",
        "no species: 0 accepted, 1 rejected (unreadable 1)",
    ]
    assert funnel.of_whom(SimpleNamespace(by_species={"human": Counter(no_face=3)})) == []


def test_a_summary_counts_rows_alone() -> None:
    said = summary.line({"in": 5, "accepted": 3, "rejected": {"no_face": 2}})
    assert said == "5 rows: 3 accepted, 2 rejected (no_face 2)"
    assert summary.line({"in": 2, "accepted": 8, "rejected": {}}) == "8 rows: 8 accepted, 0 rejected"
