"""Run the rejected rows of some reasons again, in a table that is complete, and commit the table anew."""

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pyarrow as pa

from jobs.runtime import summary, workers
from jobs.runtime.flags import Common
from jobs.runtime.table_run import TableRun
from rupantara import schema
from rupantara.errors import UserError
from rupantara.faces.duplicates import reject_duplicates
from rupantara.storage import commits, listing, manifest, tables
from rupantara.storage.manifest import DataFile, Manifest
from rupantara.storage.parts import sizes_of
from rupantara.storage.plan import Part
from rupantara.storage.recipe import Recipe
from rupantara.storage.retries import check_others, check_recipe

log = logging.getLogger("jobs")

OLD_FILE = b"rupantara_old_file"


class RetryRows:
    """Batch of photographs that name their old file -> that file's rows, theirs replaced by new ones."""

    def __init__(self, output: str, make_stage: Callable[..., workers.Stage], **given: Any) -> None:
        """Build the stage that makes the new rows."""
        self._output, self._stage = output, make_stage(**given)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Replace rows in place: an old row's new ones stand where it stood."""
        old = tables.read_file(self._output, batch.schema.metadata[OLD_FILE].decode())
        table = replaced(old, self._stage(batch.replace_schema_metadata(None)).to_pylist())
        return table.replace_schema_metadata({schema.ROWS_IN: str(table.num_rows).encode()})


def replaced(old: pa.Table, rows: Iterable[dict[str, Any]]) -> pa.Table:
    """Put the new rows of photographs where the first of each one's old rows stood; its other old rows go."""
    made: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        made.setdefault(row["uri"], []).append(row)
    pieces: list[pa.Table] = []
    for i, uri in enumerate(old["uri"].to_pylist()):
        if uri not in made:
            pieces.append(old.slice(i, 1))
        elif made[uri]:
            pieces.append(pa.Table.from_pylist(made[uri], schema=old.schema))
            made[uri] = []
    return pa.concat_tables(pieces)


@dataclass(frozen=True)
class Again:
    """Which rejects are tried again: their reasons, the photographs as they are now, and how their rows name them."""

    reasons: Sequence[str]
    listed: pa.Table
    uri_of: Callable[[bytes], str]


def plan(output: str, found: Manifest, again: Again) -> list[Part]:
    """Plan one part for each file that holds rejects of these reasons."""
    places = {again.uri_of(path): i for i, path in enumerate(again.listed["path"].to_pylist())}
    planned = []
    for index, file in enumerate(found.data):
        rows = tables.read_file(output, file.path, ("uri", "reject"))
        wanted = [r["uri"] for r in rows.to_pylist() if r["reject"] and r["reject"]["reason"] in again.reasons]
        chosen = [places[uri] for uri in dict.fromkeys(wanted) if uri in places]
        if chosen:
            rows = again.listed.take(chosen).replace_schema_metadata({OLD_FILE: file.path.encode()})
            planned.append(Part(index, rows=rows))
    return planned


def run(config: Common, whole: TableRun, again: Again) -> Manifest:
    """Retry, and commit: until then readers see the old table, and a kill loses at most the parts in flight."""
    output, recipe = whole.output, whole.recipe
    found = manifest.require(output, "faces")
    if found.recipe.job != recipe.job:
        raise UserError(f"--retry works on a table of jobs.{recipe.job}, got one of jobs.{found.recipe.job}")
    known = found.counts["rejected"]
    unknown = sorted(set(again.reasons) - known.keys())
    if unknown:
        raise UserError(f"--retry must name reasons of the table ({', '.join(known)}), got {unknown[0]!r}")
    check_recipe(found, recipe)
    planned = plan(output, found, again)
    tried = {path for part in planned if part.rows is not None for path in part.rows["path"].to_pylist()}
    check_others(listing.read(output, found.fingerprint), again.listed, tried)
    if whole.prepare:
        whole.prepare()
    started, number = time.monotonic(), len(found.extra.get("retried", []))
    tag = hashlib.sha256(f"{found.content} {recipe.fingerprint} {number} {sorted(again.reasons)}".encode()).hexdigest()
    done = tables.done_parts(output, tag)
    pending = [part for part in planned if part.index not in done]
    if pending:
        stage = partial(RetryRows, output, whole.make_stage)
        work = workers.Work(recipe.job, output, tag, stage, measure=whole.measure, computes=whole.computes)
        workers.run(config, pending, work)
    new = {part.index: tables.part_path(tag, part.index) for part in planned}
    complete = committed(output, found, recipe, tag, new)
    before, after = (sum(m.counts["rejected"].get(r, 0) for r in again.reasons) for m in (found, complete))
    entry = {"reasons": sorted(again.reasons), "tried": len(tried), "before": before, "after": after}
    complete = replace(complete, extra={**found.extra, "retried": [*found.extra.get("retried", []), entry]})
    complete = replace(complete, seconds=found.seconds + round(time.monotonic() - started, 1))
    replaces = {manifest.REPLACES: found.fingerprint}
    manifest.commit(output, complete, Manifest("faces", found.schema_version, recipe, "running", extra=replaces))
    tables.settle(output, complete)
    summary.write_card(output, complete, anew=True)
    said = ", ".join(entry["reasons"])
    log.info("%s: %d photographs tried again; %s: %d before, %d now", output, len(tried), said, before, after)
    return complete


def committed(output: str, found: Manifest, recipe: Recipe, tag: str, new: Mapping[int, str]) -> Manifest:
    """Return the manifest with the new files in place of the old, and what is there twice now rejected."""
    old = [file.path for file in found.data]
    paths = [new.get(index, path) for index, path in enumerate(old)]
    twice = reject_duplicates(output, paths, tag, keep=set(old))
    paths = [twice.get(index, path) for index, path in enumerate(paths)]
    files, counts = commits.committed_files(output, paths, sizes_of(output), tag)
    path = listing.path_of(recipe.fingerprint)
    files.append(DataFile(path, 0, commits.size_of(output, path)))
    return replace(found, recipe=recipe, files=tuple(files), counts=counts)
