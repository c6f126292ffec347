"""A table run: dry runs touch nothing, a failing reduce step commits nothing, and a table of rejects alone is no success."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from jobs.runtime import table_run, workers
from jobs.runtime.flags import Common
from jobs.runtime.table_run import Reduced, TableRun
from rupantara import schema
from rupantara.errors import UserError
from rupantara.storage import manifest, plan, tables
from rupantara.storage.recipe import Recipe
from rupantara.storage.statistics import Statistics
from tests.in_process import in_this_process

SMALL = {"stage": "quality", "reason": "too_small", "detail": ""}


class Rows:
    """Rows named in the part -> faces; those named `x` are rejected."""

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Make the rows."""
        rows = [{"face_id": n, "reject": SMALL if n.startswith("x") else None} for n in batch["name"].to_pylist()]
        return pa.Table.from_pylist(rows, schema=schema.FACES)


def measure(rows: pa.Table) -> Statistics:
    return Statistics({"rows": np.array(rows.num_rows)})


def run_of(output: str, *names: str, **changes: object) -> TableRun:
    parts = plan.of_rows([pa.table({"name": [name]}) for name in names])
    recipe = Recipe("curate", 1, {"names": list(names)})
    run = TableRun(output=output, schema="faces", recipe=recipe, plan=parts, make_stage=Rows, measure=measure)
    return replace(run, **changes)  # ty: ignore[invalid-argument-type]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    in_this_process(monkeypatch)


def test_a_run_is_made_once_and_its_report_is_drawn_each_time(tmp_path: Path, caplog) -> None:
    seen = []
    run = run_of(str(tmp_path / "t"), "a", "xb", report=lambda done: [f"report {seen.append(done.counts)}"])
    for _ in range(2):
        complete = table_run.make(Common(), run)
    assert complete is not None
    assert seen == [{"in": 2, "accepted": 1, "rejected": {"too_small": 1}}] * 2
    assert (tmp_path / "t/README.md").exists()
    assert (tmp_path / "t/stats.json").exists()


def test_a_dry_run_says_what_would_be_made_and_touches_nothing(tmp_path: Path, capsys) -> None:
    run = run_of(str(tmp_path / "t"), "a", "b", prepare=partial(pytest.fail, "prepared"), told="two names")
    assert table_run.make(Common(dry_run=True), run) is None
    assert f"fingerprint {run.recipe.fingerprint}\n2 parts: two names" in capsys.readouterr().out
    assert not (tmp_path / "t").exists()


def test_what_is_prepared_and_reduced_is_kept_and_an_error_of_it_commits_nothing(tmp_path: Path) -> None:
    def fails() -> Reduced:
        raise UserError("no")

    run = run_of(str(tmp_path / "t"), "a", prepare=lambda: {"before": 1}, reduce=fails, extra={"told": 2})
    with pytest.raises(UserError, match="no"):
        table_run.make(Common(), run)
    assert manifest.read(run.output) is None
    assert not list(tmp_path.glob("t/data/*")), "and no plain reader sees a row"
    table_run.make(Common(), replace(run, reduce=lambda: Reduced({"after": 3})))
    found = manifest.require(run.output, "faces")
    assert found.extra == {"told": 2, "before": 1, "after": 3}


def test_a_killed_run_goes_on_with_the_parts_that_are_missing(tmp_path: Path, monkeypatch) -> None:
    run = run_of(str(tmp_path / "t"), "a", "b", "c")
    running = manifest.begin(run.output, "faces", run.recipe, version=schema.VERSION, overwrite=False)
    assert running is not None
    tables.write_part(run.output, running.fingerprint, 1, Rows()(pa.table({"name": ["b"]})), 1)
    made, inner = [], workers.run
    monkeypatch.setattr(
        workers, "run", lambda c, pending, w: made.extend(p.index for p in pending) or inner(c, pending, w)
    )
    table_run.make(Common(), run)
    assert made == [0, 2]
    assert tables.read(run.output, schema="faces")["face_id"].to_pylist() == ["a", "b", "c"]


def test_a_table_of_rejects_alone_ends_in_an_error_that_says_so_unless_allowed(tmp_path: Path) -> None:
    run = run_of(str(tmp_path / "t"), "x1", "x2")
    for _ in range(2):
        with pytest.raises(UserError, match=r"all of its 2 rows are rejects \(too_small 2\); --allow-all-rejects"):
            table_run.make(Common(), run)
    assert manifest.require(run.output, "faces").state == "complete"
    assert table_run.make(Common(allow_all_rejects=True), run) is not None


def test_the_start_of_the_work_says_how_much_there_is(tmp_path: Path) -> None:
    run = run_of(str(tmp_path / "t"), "a", "b")
    table_run.make(Common(), run)
    assert workers.to_make(run.plan) == "2 parts to make"
    many, one = pa.table({"name": ["a", "b", "c"]}), pa.table({"shard": [0]})
    assert [workers.to_make(plan.of_rows([rows])) for rows in (many, one)] == [
        "1 part of 3 rows to make",
        "1 part to make",
    ]
    found = manifest.require(run.output, "faces")
    assert workers.to_make(plan.of_rows_in_files(run.output, found, 9, 1)) == "1 part of 2 rows to make"
