"""What benchmarks count with: a rate is from when all workers were at work to the end."""

import pytest

from benchmarks.pool import steady


def part(begun: float, ended: float, rows: int = 10) -> dict[str, float]:
    return {"seconds": ended - begun, "ended": ended, "rows": rows}


def test_a_part_under_way_when_the_last_worker_starts_counts_by_its_share() -> None:
    first = [part(0, 4), part(4, 8), part(8, 12)]
    second = [part(5, 9), part(9, 12, 8)]
    # From 5 s on: 3/4 of a part, two whole ones, and the second worker's.
    assert steady(first + second, 2) == (7.5 + 10 + 10 + 8, 7)


def test_workers_that_were_never_all_at_work_have_no_rate() -> None:
    with pytest.raises(ValueError, match="must be at work at some time"):
        steady([part(0, 1), part(1, 2)], 2)
