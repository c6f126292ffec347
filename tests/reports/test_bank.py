"""The bank in a report."""

from rupantara.reports.bank import best


def test_only_settings_that_none_beats_are_shown():
    made = [(10, 0.5), (9, 0.4), (9, 0.6), (5, 0.6), (4, 1.0), (10, 0.3)]
    shown = best([{"queries_per_s": q, "recall_at_10": r} for q, r in made])
    assert [(one["queries_per_s"], one["recall_at_10"]) for one in shown] == [(10, 0.5), (9, 0.6), (4, 1.0)]
