"""Parts through Ray Data: each is read, worked and written by one actor call, and its counts stream back.

A part that is on storage is done; a killed run loses only the parts in flight, and no part can be written twice under
another name. See docs/decisions/0002.
"""

import logging
import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import ray

from jobs.runtime.cluster import MALLOC, connect, given, peak_mib, quieten, require_room, scales, workers_that_fit
from jobs.runtime.flags import Common
from jobs.runtime.part_metrics import PartMetrics
from rupantara import schema
from rupantara.compute import Compute
from rupantara.storage import statistics, tables
from rupantara.storage.plan import Part
from rupantara.storage.statistics import Measure

log = logging.getLogger("jobs")

NO_PROGRESS_TIMEOUT_S = 600
"""Ray Data waits for ever for a CPU that never comes; this turns the silence into an error that names the operator."""

TRANSIENT = ("AWS Error", "SlowDown", "Timeout", "Connection reset", "503", "curlCode")
"""Words in errors of the object store after which a part is tried again (it writes nothing until it is whole)."""

Stage = Callable[[pa.Table], pa.Table]


@dataclass(frozen=True)
class Work:
    """What a worker does with each part: the stage that it builds once, where the rows go, and what is measured of them.

    With `computes` the stage is built as `make_stage(compute=…)`, with the device and the threads that Ray gave the worker.
    """

    job: str
    output: str
    tag: str
    make_stage: Callable[..., Stage]
    columns: Sequence[str] | None = None
    measure: Measure | None = None
    computes: bool = False


class PartWorker:
    """The actor: a stage, built once, applied to each part that comes, written as one file."""

    def __init__(self, work: Work) -> None:
        """Build the stage on the worker."""
        self._work = work
        self._stage = build_stage(work, given)
        self._metrics = PartMetrics(work.job)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Work one part (a batch of one) and return its counts."""
        counts, told = work_part(self._work, self._stage, pickle.loads(batch["part"][0]))
        self._metrics.add(counts, told["seconds"])
        return {name: [value] for name, value in told.items()}


def build_stage(work: Work, compute: Callable[[], Compute]) -> Stage:
    """Build the stage of a worker to which Ray gave this."""
    return work.make_stage(compute=compute()) if work.computes else work.make_stage()


def work_part(work: Work, stage: Stage, part: Part) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read, work and write one part; return its counts, and what `results` yields of it."""
    started, computed = time.time(), time.process_time()
    rows = part.read(work.columns)
    made = stage(rows)
    rows_in = int((made.schema.metadata or {}).get(schema.ROWS_IN, rows.num_rows))
    if work.measure:
        made = statistics.attach(made, work.measure(made))
    counts = tables.write_part(work.output, work.tag, part.index, made, rows_in)
    ended = time.time()
    told = {"index": part.index, "rows": counts["in"], "seconds": ended - started, "ended": ended}
    return counts, {**told, "cpu_s": time.process_time() - computed, "peak_mib": peak_mib()}


def results(config: Common, pending: Sequence[Part], work: Work) -> Iterator[dict[str, Any]]:
    """Lay out the pipeline and yield each part's `index`, `rows`, `seconds`, `cpu_s` and `ended` as it is written."""
    context = ray.data.DataContext.get_current()
    context.execution_no_progress_timeout_s = NO_PROGRESS_TIMEOUT_S
    context.retried_map_errors, context.max_map_retries = list(TRANSIENT), 5
    tasks = [{"part": pickle.dumps(part)} for part in pending]
    stream = ray.data.from_items(tasks, override_num_blocks=len(tasks)).map_batches(
        PartWorker,
        fn_constructor_args=(work,),
        batch_size=1,
        batch_format="numpy",
        compute=pool(config, len(pending)),
        num_cpus=config.cpus_per_worker,
        num_gpus=config.gpus_per_worker or None,
        runtime_env={"env_vars": MALLOC},
    )
    # Ray Data sets its loggers' levels again when it first makes a dataset.
    quieten()
    yield from stream.iter_rows()


def to_make(pending: Sequence[Part]) -> str:
    """Say how many parts there are; of one alone, of which nothing more is heard until it is done, also how many rows it has."""
    if len(pending) > 1:
        return f"{len(pending)} parts to make"
    rows = rows_of(pending[0])
    return f"1 part of {rows} rows to make" if rows > 1 else "1 part to make"


def rows_of(part: Part) -> int:
    """Return how many rows a part has, by the footers of its files."""
    if part.rows is not None:
        return part.rows.num_rows
    footers = [tables.read_footer(part.table, file) for file in (part.file, *part.more)]
    return sum(f.num_rows if part.row_group is None else f.row_group(part.row_group).num_rows for f in footers)


def run(config: Common, pending: Sequence[Part], work: Work) -> list[dict[str, Any]]:
    """Run the parts, saying how far they are, and return what `results` yielded."""
    log.info(to_make(pending))
    connect()
    started, last, parts, rows = time.monotonic(), 0.0, 0, 0
    timings = []
    for result in results(config, pending, work):
        timings.append(result)
        parts, rows = parts + 1, rows + int(result["rows"])
        elapsed = time.monotonic() - started
        if elapsed - last > 5 or parts == len(pending):
            last = elapsed
            left = elapsed / parts * (len(pending) - parts)
            log.info(
                "%d of %d parts, %d rows read, %.0f rows/s, %.0f s to go",
                parts,
                len(pending),
                rows,
                rows / elapsed,
                left,
            )
    return timings


def pool(config: Common, parts: int) -> ray.data.ActorPoolStrategy:
    """Size the actor pool: `--workers`, or from one up to what an autoscaled cluster may offer.

    Of few parts an actor gets the next when it is free, because two queued at one would leave another idle; of many it has one
    waiting, because asking for it takes Ray Data some 0.1 s.

    Raise UserError when the cluster can place no worker at all and could wait for ever. One CPU is left for Ray Data's own tasks.
    """
    require_room(1, config.cpus_per_worker, config.gpus_per_worker)
    if config.workers:
        return sized(min(config.workers, parts), parts)
    if scales():
        return ray.data.ActorPoolStrategy(min_size=1, max_size=parts)
    return sized(workers_that_fit(config.cpus_per_worker, config.gpus_per_worker, parts), parts)


def sized(actors: int, parts: int) -> ray.data.ActorPoolStrategy:
    """Return a pool of so many actors."""
    waiting = 2 if parts >= 4 * actors else 1
    return ray.data.ActorPoolStrategy(size=actors, max_tasks_in_flight_per_actor=waiting)
