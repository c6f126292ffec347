"""A table run: what a job makes out of a plan of parts, as one value, and the one call that makes it.

The output is claimed, the parts that are missing are made, what they left is reduced, all is committed, and the report is drawn.
Where all is there already nothing is done; a killed run goes on; nothing is seen of it before the commit.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from actors.sharded_bank import ShardedBank
from jobs.runtime import summary, workers
from jobs.runtime.cluster import connect
from jobs.runtime.flags import Common
from rupantara.schema import version_of
from rupantara.storage import manifest, tables
from rupantara.storage.manifest import Manifest
from rupantara.storage.plan import Part
from rupantara.storage.recipe import Recipe
from rupantara.storage.statistics import Measure

log = logging.getLogger("jobs")


@dataclass(frozen=True)
class Reduced:
    """What the reduce step adds to the commit: entries of the manifest, and files that take the place of parts, by part number."""

    extra: Mapping[str, Any] = field(default_factory=dict)
    amended: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TableRun:
    """All that a table run is. Only recipe, plan and stage decide rows."""

    output: str
    """Where the table goes."""
    schema: str
    """Name of its schema."""
    recipe: Recipe
    """What decides its rows."""
    plan: Sequence[Part]
    """The parts, each of which becomes a file."""
    make_stage: Callable[..., workers.Stage]
    """Builds the stage on a worker; called with `bank` and `compute` where those are asked for below."""
    columns: Sequence[str] | None = None
    """Columns that are read of a part that is a file (None = all)."""
    measure: Measure | None = None
    """What each part measures of the rows that it writes; the commit merges it (`storage.statistics`)."""
    computes: bool = False
    """Whether the stage computes on a network: then it is told the device and threads that Ray gave its worker."""
    bank: str = ""
    """Bank whose shards the stage asks; they are started for the run and end with it."""
    beside: Sequence[str] = ()
    """Folders of the output whose files named after the fingerprint belong to it."""
    prepare: Callable[[], Mapping[str, Any] | None] | None = None
    """Called once the output is claimed, before the parts; what it returns is kept in the manifest."""
    reduce: Callable[[], Reduced] = Reduced
    """Called when all parts are written, before the commit; an error of it commits nothing."""
    report: Callable[[Manifest], Sequence[str]] | None = None
    """Draws what lies beside the complete table, and returns what to say of it, a line each."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further entries of the manifest."""
    keep_old: bool = False
    """Whether the files of an output that this one replaces stay."""
    told: str = ""
    """What a dry run says beside the number of parts."""


def make(config: Common, run: TableRun) -> Manifest | None:
    """Make the table, the rest of it, or nothing when it is complete; a dry run prints what would be made, and returns None.

    Raise UserError for a table whose rows are all rejects, once it is committed, unless `--allow-all-rejects`.
    """
    if config.dry_run:
        print(
            f"{config}\nfingerprint {run.recipe.fingerprint}\n{len(run.plan)} parts{f': {run.told}' if run.told else ''}"
        )
        return None
    running = manifest.begin(
        run.output, run.schema, run.recipe, version=version_of(run.schema), overwrite=config.overwrite
    )
    complete = _found(run) if running is None else _made(config, run, running)
    for line in run.report(complete) if run.report else ():
        log.info(line)
    summary.check_rejects(config, run.output, complete)
    return complete


def _found(run: TableRun) -> Manifest:
    """Return what is complete already, after finishing what a kill after its commit may have left."""
    log.info("nothing to do: %s is complete with the same recipe (%s)", run.output, run.recipe.fingerprint[:12])
    found = manifest.read(run.output)
    assert found is not None
    tables.settle(run.output, found)
    summary.write_card(run.output, found)
    return found


def _made(config: Common, run: TableRun, running: Manifest) -> Manifest:
    prepared = run.prepare() if run.prepare else None
    extra = {**run.extra, **(prepared or {})}
    done = tables.done_parts(run.output, running.fingerprint)
    pending = [part for part in run.plan if part.index not in done]
    if done:
        log.info("%s: resuming, %d of %d parts are done", run.output, len(run.plan) - len(pending), len(run.plan))
    started = time.monotonic()
    timings: list[dict[str, Any]] = []
    if pending:
        with stage_maker(run) as make_stage:
            work = workers.Work(
                run.recipe.job, run.output, running.fingerprint, make_stage, run.columns, run.measure, run.computes
            )
            timings = workers.run(config, pending, work)
    seconds = time.monotonic() - started
    reduced = run.reduce()
    options: dict[str, Any] = {"beside": run.beside, "keep_old": run.keep_old, "amended": reduced.amended}
    complete = tables.commit_parts(run.output, running, len(run.plan), seconds, **options, **{**extra, **reduced.extra})
    summary.write_stats(run.output, complete, timings, seconds)
    summary.write_card(run.output, complete, anew=True)
    log.info("%s: %s", run.output, summary.line(complete.counts))
    return complete


@contextlib.contextmanager
def stage_maker(run: TableRun) -> Generator[Callable[..., workers.Stage]]:
    """Yield what builds the stage, with the bank's shards started where it asks a bank; they end with the block."""
    if not run.bank:
        yield run.make_stage
        return
    connect()
    bank = ShardedBank.start(run.bank)
    try:
        yield partial(run.make_stage, bank=bank)
    finally:
        bank.close()
