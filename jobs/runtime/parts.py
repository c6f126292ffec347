"""Run a plan of deterministic parts through Ray Data: each part is read, worked and written by one actor call.

A part that is on storage is done; a killed run loses only the parts in flight, and no part can be written twice under
another name. See docs/decisions/0002.
"""

import json
import logging
import os
import pickle
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import ray
from ray.util.metrics import Counter, Histogram

from jobs.runtime.cli import MALLOC, Common, connect, quieten
from rupantara import schema
from rupantara.errors import UserError
from rupantara.reports.cards import table_card
from rupantara.storage import manifest, tables, uris
from rupantara.storage.manifest import Manifest
from rupantara.storage.recipe import Recipe

log = logging.getLogger("jobs")

NO_PROGRESS_TIMEOUT_S = 600
"""Ray Data waits for ever for a CPU that never comes; this turns the silence into an error that names the operator."""

TRANSIENT = ("AWS Error", "SlowDown", "Timeout", "Connection reset", "503", "curlCode")
"""Words in errors of the object store after which a part is tried again (it writes nothing until it is whole)."""

Stage = Callable[[pa.Table], pa.Table]


@dataclass(frozen=True)
class Part:
    """One unit of work: rows given here, or a file of an input table."""

    index: int
    rows: pa.Table | None = None
    table: str = ""
    file: str = ""


class PartMetrics:
    """Ray metrics of a worker: rows in and accepted, rejects by reason, seconds a part (`ray_rupantara_…` in Prometheus)."""

    def __init__(self, job: str) -> None:
        """Register the metrics under the job's name."""
        tags = {"job": job}
        self._rows = Counter("rupantara_rows", description="Rows read.", tag_keys=("job",))
        self._accepted = Counter("rupantara_accepted", description="Rows accepted.", tag_keys=("job",))
        self._rejected = Counter("rupantara_rejected", description="Rows rejected.", tag_keys=("job", "reason"))
        bounds = [0.1, 0.3, 1, 3, 10, 30, 100, 300]
        self._seconds = Histogram("rupantara_part_seconds", description="A part.", boundaries=bounds, tag_keys=("job",))
        for metric in (self._rows, self._accepted, self._rejected, self._seconds):
            metric.set_default_tags(tags)

    def add(self, counts: dict[str, Any], seconds: float) -> None:
        """Count one part."""
        for metric, number in ((self._rows, counts["in"]), (self._accepted, counts["accepted"])):
            if number:
                metric.inc(number)
        for reason, number in counts["rejected"].items():
            self._rejected.inc(number, tags={"reason": reason})
        self._seconds.observe(seconds)


class PartWorker:
    """The actor: a stage, loaded once, applied to each part that comes, written as one file."""

    def __init__(
        self, make_stage: Callable[[], Stage], output: str, job: str, fingerprint: str, columns: Sequence[str] | None
    ) -> None:
        """Build the stage on the worker."""
        self._stage, self._output, self._fingerprint, self._columns = make_stage(), output, fingerprint, columns
        self._metrics = PartMetrics(job)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Work one part (a batch of one) and return its counts."""
        part: Part = pickle.loads(batch["part"][0])
        started = time.time()
        rows = part.rows if part.rows is not None else tables.read_file(part.table, part.file, self._columns)
        made = self._stage(rows)
        rows_in = int((made.schema.metadata or {}).get(schema.ROWS_IN, rows.num_rows))
        counts = tables.write_part(self._output, self._fingerprint, part.index, made, rows_in)
        ended = time.time()
        self._metrics.add(counts, ended - started)
        return {
            "index": [part.index],
            "rows": [counts["in"]],
            "seconds": [ended - started],
            "ended": [ended],
            "peak_mib": [peak_mib()],
        }


def parts_of(table_uri: str, found: Manifest) -> list[Part]:
    """Plan one part for each file of an input table."""
    return [Part(i, table=table_uri, file=f.path) for i, f in enumerate(found.data)]


def vector_dim(table_uri: str, found: Manifest, column: str) -> int:
    """Return the length of a vector column; raise UserError when the table has none of that name."""
    columns = tables.read_schema(table_uri, found.data[0].path)
    if column not in columns.names:
        raise UserError(
            f"{table_uri} must hold {column} (jobs.extract with region_vae), got {', '.join(columns.names)}"
        )
    return int(columns.field(column).type.list_size)


def run_parts(
    config: Common,
    output: str,
    schema_name: str,
    recipe: Recipe,
    plan: Sequence[Part],
    make_stage: Callable[[], Stage],
    *,
    version: int,
    columns: Sequence[str] | None = None,
    beside: str = "",
    begun: Callable[[], None] = lambda: None,
    finish: Callable[[], dict[str, Any]] = dict,
    amend: Callable[[], dict[int, str]] = dict,
    keep_old: bool = False,
    **extra: Any,
) -> Manifest:
    """Make a table out of a plan: all of it, the rest of it, or nothing when it is complete.

    `begun` is called once the output is claimed; what it writes to the folder `beside` belongs to the output. `finish` is
    called when all parts are written, before the commit: what it returns is kept in the manifest, and an error of it commits
    nothing. `amend`, called after it, returns files that take the place of parts: part number -> file. With `keep_old` the
    files of an output that is replaced stay.
    """
    running = manifest.begin(output, schema_name, recipe, version=version, overwrite=config.overwrite)
    if running is None:
        log.info("nothing to do: %s is complete with the same recipe (%s)", output, recipe.fingerprint[:12])
        found = manifest.read(output)
        assert found is not None
        write_beside(output, found)
        return found
    begun()
    done = tables.done_parts(output, running.fingerprint)
    pending = [part for part in plan if part.index not in done]
    if done:
        log.info("%s: resuming, %d of %d parts are done", output, len(plan) - len(pending), len(plan))
    started = time.monotonic()
    timings = stream(config, pending, make_stage, output, recipe.job, running.fingerprint, columns) if pending else []
    seconds = time.monotonic() - started
    extra |= finish()
    options: dict[str, Any] = {"beside": beside, "keep_old": keep_old, "amended": amend()}
    complete = tables.commit_parts(output, running, len(plan), seconds, **options, **extra)
    write_stats(output, complete, timings, seconds)
    write_beside(output, complete, anew=True)
    log.info("%s: %s", output, _summary(complete.counts))
    return complete


def write_beside(output: str, complete: Manifest, *, anew: bool = False) -> None:
    """Write the table's card, if it is not there (a kill may fall between the commit and it) or is to be written anew."""
    card = uris.join(output, "README.md")
    if anew or not uris.exists(card):
        uris.write_bytes(card, table_card(complete).encode())


def _summary(counts: dict[str, Any]) -> str:
    reasons = ", ".join(f"{reason} {n}" for reason, n in counts["rejected"].items())
    return f"{counts['in']} in, {counts['accepted']} rows accepted, {sum(counts['rejected'].values())} rejected" + (
        f" ({reasons})" if reasons else ""
    )


def peak_mib() -> float:
    """Return the most memory that this process has held, MiB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def write_stats(output: str, complete: Manifest, timings: Sequence[dict[str, Any]], seconds: float) -> None:
    """Write stats.json: how fast this run was, part by part in sum, and how much memory the driver took."""
    each = sorted(float(t["seconds"]) for t in timings)
    rows = sum(int(t["rows"]) for t in timings)
    stats = {
        "job": complete.recipe.job,
        "counts": complete.counts,
        "seconds": round(seconds, 2),
        "parts": len(complete.data),
        "parts_in_this_run": len(timings),
        "rows_in_this_run": rows,
        "rows_per_s": round(rows / seconds, 2) if timings else None,
        "part_s": {name: round(each[int(q * (len(each) - 1))], 3) for name, q in QUANTILES.items()} if each else {},
        "worker_s": round(sum(each), 2),
        "driver_peak_mib": peak_mib(),
        "worker_peak_mib": max((float(t["peak_mib"]) for t in timings), default=None),
    }
    uris.write_bytes(uris.join(output, "stats.json"), json.dumps(stats, indent=1).encode())


QUANTILES = {"median": 0.5, "p95": 0.95, "max": 1.0}


def results(
    config: Common,
    pending: Sequence[Part],
    make_stage: Callable[[], Stage],
    output: str,
    job: str,
    fingerprint: str,
    columns: Sequence[str] | None,
) -> Iterator[dict[str, Any]]:
    """Lay out the pipeline and yield each part's `index`, `rows`, `seconds` and `ended` as it is written."""
    context = ray.data.DataContext.get_current()
    context.execution_no_progress_timeout_s = NO_PROGRESS_TIMEOUT_S
    context.retried_map_errors, context.max_map_retries = list(TRANSIENT), 5
    # Ray Data sets its loggers' levels again when it first makes a dataset.
    tasks = [{"part": pickle.dumps(part)} for part in pending]
    stream = ray.data.from_items(tasks, override_num_blocks=len(tasks)).map_batches(
        PartWorker,
        fn_constructor_args=(make_stage, output, job, fingerprint, columns),
        batch_size=1,
        batch_format="numpy",
        compute=pool(config, len(pending)),
        num_cpus=config.cpus_per_worker,
        num_gpus=config.gpus_per_worker or None,
        runtime_env={"env_vars": MALLOC},
    )
    quieten()
    yield from stream.iter_rows()


def stream(config: Common, pending: Sequence[Part], *arguments: Any) -> list[dict[str, Any]]:
    """Run the pipeline, saying how far it is, and return what `results` yielded."""
    connect()
    started, last, parts, rows = time.monotonic(), 0.0, 0, 0
    timings = []
    for result in results(config, pending, *arguments):
        timings.append(result)
        parts, rows = parts + 1, rows + int(result["rows"])
        elapsed = time.monotonic() - started
        if elapsed - last > 5 or parts == len(pending):
            last = elapsed
            left = elapsed / parts * (len(pending) - parts)
            log.info(
                "%d of %d parts, %d rows, %.0f rows/s, %.0f s to go", parts, len(pending), rows, rows / elapsed, left
            )
    return timings


def pool(config: Common, parts: int) -> ray.data.ActorPoolStrategy:
    """Size the actor pool: `--workers`, or from one up to what an autoscaled cluster may offer.

    Of few parts an actor gets the next when it is free, because two queued at one would leave another idle; of many it has one
    waiting, because asking for it takes Ray Data some 0.1 s.

    Raise UserError when the cluster can place no worker at all and could wait for ever. One CPU is left for Ray Data's own tasks.
    """
    total = ray.cluster_resources()
    cpus = total.get("CPU", 0.0)
    if config.gpus_per_worker and not total.get("GPU") and not scales():
        raise UserError(f"--gpus-per-worker {config.gpus_per_worker:g} needs a GPU, and the cluster has none")
    if config.cpus_per_worker > cpus and not scales():
        raise UserError(f"--cpus-per-worker {config.cpus_per_worker:g} must be at most the cluster's {cpus:g} CPUs")
    if config.workers:
        return sized(min(config.workers, parts), parts)
    if scales():
        return ray.data.ActorPoolStrategy(min_size=1, max_size=parts)
    # The embedded Ray promises more CPUs than the machine has, so that small actors fit beside the workers.
    room = min(cpus - 1, os.cpu_count() or 1) if cpus <= 4 else cpus - 1
    fit = int(room / max(config.cpus_per_worker, 0.01))
    if config.gpus_per_worker:
        fit = min(fit, int(total.get("GPU", 0) / config.gpus_per_worker))
    return sized(max(1, min(fit, parts)), parts)


def sized(actors: int, parts: int) -> ray.data.ActorPoolStrategy:
    """Return a pool of so many actors."""
    waiting = 2 if parts >= 4 * actors else 1
    return ray.data.ActorPoolStrategy(size=actors, max_tasks_in_flight_per_actor=waiting)


def scales() -> bool:
    """Tell whether the head offers no CPU of its own, as `cluster.yaml` has it: then nodes come on demand."""
    return len(ray.nodes()) > 1 or ray.cluster_resources().get("CPU", 0.0) == 0
