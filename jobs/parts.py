"""Run a plan of deterministic parts through Ray Data: each part is read, worked and written by one actor call.

A part that is on storage is done; a killed run loses only the parts in flight, and no part can be written twice under
another name. See docs/decisions/0002.
"""

import logging
import os
import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import ray

from jobs.cli import Common, connect, quieten
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


class PartWorker:
    """The actor: a stage, loaded once, applied to each part that comes, written as one file."""

    def __init__(
        self, make_stage: Callable[[], Stage], output: str, fingerprint: str, columns: Sequence[str] | None
    ) -> None:
        """Build the stage on the worker."""
        self._stage, self._output, self._fingerprint, self._columns = make_stage(), output, fingerprint, columns

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Work one part (a batch of one) and return its counts."""
        part: Part = pickle.loads(batch["part"][0])
        started = time.time()
        rows = part.rows if part.rows is not None else tables.read_file(part.table, part.file, self._columns)
        counts = tables.write_part(self._output, self._fingerprint, part.index, self._stage(rows), rows.num_rows)
        ended = time.time()
        return {"index": [part.index], "rows": [counts["in"]], "seconds": [ended - started], "ended": [ended]}


def parts_of(table_uri: str, found: Manifest) -> list[Part]:
    """Plan one part for each file of an input table."""
    return [Part(i, table=table_uri, file=f.path) for i, f in enumerate(found.files)]


def run_parts(
    config: Common,
    output: str,
    schema: str,
    recipe: Recipe,
    plan: Sequence[Part],
    make_stage: Callable[[], Stage],
    *,
    version: int,
    columns: Sequence[str] | None = None,
    beside: str = "",
    **extra: Any,
) -> Manifest:
    """Make a table out of a plan: all of it, the rest of it, or nothing when it is complete."""
    running = manifest.begin(output, schema, recipe, version=version, overwrite=config.overwrite)
    if running is None:
        log.info("nothing to do: %s is complete with the same recipe (%s)", output, recipe.fingerprint[:12])
        found = manifest.read(output)
        assert found is not None
        return found
    done = tables.done_parts(output, running.fingerprint)
    pending = [part for part in plan if part.index not in done]
    if done:
        log.info("%s: resuming, %d of %d parts are done", output, len(plan) - len(pending), len(plan))
    started = time.monotonic()
    if pending:
        _stream(config, pending, make_stage, output, running.fingerprint, columns)
    complete = tables.commit_parts(output, running, len(plan), time.monotonic() - started, beside=beside, **extra)
    uris.write_bytes(uris.join(output, "README.md"), table_card(complete).encode())
    log.info("%s: %s", output, _summary(complete.counts))
    return complete


def _summary(counts: dict[str, Any]) -> str:
    reasons = ", ".join(f"{reason} {n}" for reason, n in counts["rejected"].items())
    return f"{counts['in']} in, {counts['accepted']} rows accepted, {sum(counts['rejected'].values())} rejected" + (
        f" ({reasons})" if reasons else ""
    )


def results(
    config: Common,
    pending: Sequence[Part],
    make_stage: Callable[[], Stage],
    output: str,
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
        fn_constructor_args=(make_stage, output, fingerprint, columns),
        batch_size=1,
        batch_format="numpy",
        compute=pool(config, len(pending)),
        num_cpus=config.cpus_per_worker,
        num_gpus=config.gpus_per_worker or None,
    )
    quieten()
    yield from stream.iter_rows()


def _stream(config: Common, pending: Sequence[Part], *arguments: Any) -> None:
    """Run the pipeline, saying how far it is."""
    connect()
    started, last, parts, rows = time.monotonic(), 0.0, 0, 0
    for result in results(config, pending, *arguments):
        parts, rows = parts + 1, rows + int(result["rows"])
        elapsed = time.monotonic() - started
        if elapsed - last > 5 or parts == len(pending):
            last = elapsed
            left = elapsed / parts * (len(pending) - parts)
            log.info(
                "%d of %d parts, %d rows, %.0f rows/s, %.0f s to go", parts, len(pending), rows, rows / elapsed, left
            )


def pool(config: Common, parts: int) -> ray.data.ActorPoolStrategy:
    """Size the actor pool: `--workers`, or from one up to what an autoscaled cluster may offer.

    Raise UserError when the cluster can place no worker at all and could wait for ever. One CPU is left for Ray Data's own tasks.
    """
    total = ray.cluster_resources()
    cpus = total.get("CPU", 0.0)
    if config.gpus_per_worker and not total.get("GPU") and not scales():
        raise UserError(f"--gpus-per-worker {config.gpus_per_worker:g} needs a GPU, and the cluster has none")
    if config.cpus_per_worker > cpus and not scales():
        raise UserError(f"--cpus-per-worker {config.cpus_per_worker:g} must be at most the cluster's {cpus:g} CPUs")
    if config.workers:
        return ray.data.ActorPoolStrategy(size=min(config.workers, parts))
    if scales():
        return ray.data.ActorPoolStrategy(min_size=1, max_size=parts)
    # The embedded Ray promises more CPUs than the machine has, so that small actors fit beside the workers.
    room = min(cpus - 1, os.cpu_count() or 1) if cpus <= 4 else cpus - 1
    return ray.data.ActorPoolStrategy(size=max(1, min(int(room / max(config.cpus_per_worker, 0.01)), parts)))


def scales() -> bool:
    """Tell whether the head offers no CPU of its own, as `cluster.yaml` has it: then nodes come on demand."""
    return len(ray.nodes()) > 1 or ray.cluster_resources().get("CPU", 0.0) == 0
