"""Run the rejected rows of some reasons again, in a table that is complete, and commit the table anew."""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pyarrow as pa

from jobs import parts
from jobs.cli import Common
from rupantara import schema
from rupantara.errors import RefusedError, UserError
from rupantara.storage import manifest, tables
from rupantara.storage.manifest import DataFile, Manifest
from rupantara.storage.recipe import Recipe

log = logging.getLogger("jobs")

OLD_FILE = b"rupantara_old_file"


class RetryRows:
    """Batch of photographs that name their old file -> that file's rows, theirs replaced by new ones."""

    def __init__(self, output: str, make_stage: Callable[[], parts.Stage]) -> None:
        """Build the stage that makes the new rows."""
        self._output, self._stage = output, make_stage()

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Replace rows in place: an old row's new ones stand where it stood."""
        old = tables.read_file(self._output, batch.schema.metadata[OLD_FILE].decode())
        made: dict[str, list[dict[str, Any]]] = {}
        for row in self._stage(batch.replace_schema_metadata(None)).to_pylist():
            made.setdefault(row["uri"], []).append(row)
        pieces: list[pa.Table] = []
        for i, uri in enumerate(old["uri"].to_pylist()):
            fresh = made.get(uri)
            pieces.append(old.slice(i, 1) if fresh is None else pa.Table.from_pylist(fresh, schema=old.schema))
        table = pa.concat_tables(pieces)
        return table.replace_schema_metadata({schema.ROWS_IN: str(table.num_rows).encode()})


def check(found: Manifest, recipe: Recipe, photographs: int) -> None:
    """Raise RefusedError unless only the photographs' bytes or times differ from what made the table."""
    same = replace(recipe, inputs={**recipe.inputs, "photos": found.recipe.inputs["photos"]})
    if same != found.recipe:
        raise RefusedError(
            f"--retry keeps the other rows, so nothing that made them may differ: {'; '.join(found.recipe.differences(same))}"
        )
    if found.extra["photographs"] != photographs:
        raise RefusedError(
            f"--retry needs the same {found.extra['photographs']} photographs by name, got {photographs}: use --overwrite"
        )


def plan(
    output: str, found: Manifest, reasons: Sequence[str], listed: pa.Table, uri_of: Callable[[bytes], str]
) -> list[parts.Part]:
    """Plan one part for each file that holds rejects of these reasons."""
    places = {uri_of(path): i for i, path in enumerate(listed["path"].to_pylist())}
    planned = []
    for index, file in enumerate(found.files):
        rows = tables.read_file(output, file.path, ("uri", "reject"))
        wanted = [r["uri"] for r in rows.to_pylist() if r["reject"] and r["reject"]["reason"] in reasons]
        chosen = [places[uri] for uri in dict.fromkeys(wanted) if uri in places]
        if chosen:
            again = listed.take(chosen).replace_schema_metadata({OLD_FILE: file.path.encode()})
            planned.append(parts.Part(index, rows=again))
    return planned


def run(
    config: Common,
    output: str,
    recipe: Recipe,
    reasons: Sequence[str],
    listed: pa.Table,
    uri_of: Callable[[bytes], str],
    make_stage: Callable[[], parts.Stage],
) -> Manifest:
    """Retry, and commit: until then readers see the old table, and a kill loses at most the parts in flight."""
    found = manifest.require(output, "faces")
    unknown = sorted(set(reasons) - found.counts["rejected"].keys())
    if unknown:
        raise UserError(
            f"--retry must name reasons of the table ({', '.join(found.counts['rejected'])}), got {unknown[0]!r}"
        )
    check(found, recipe, listed.num_rows)
    planned = plan(output, found, reasons, listed, uri_of)
    number = len(found.extra.get("retried", []))
    tag = hashlib.sha256(f"{found.fingerprint} {number} {sorted(reasons)}".encode()).hexdigest()
    pending = [part for part in planned if part.index not in tables.done_parts(output, tag)]
    started = time.monotonic()
    if pending:
        parts.stream(config, pending, partial(RetryRows, output, make_stage), output, recipe.job, tag, None)
    complete = committed(output, found, recipe, tag, [part.index for part in planned])
    tried = sum(part.rows.num_rows for part in planned if part.rows is not None)
    before, after = (sum(m.counts["rejected"].get(r, 0) for r in reasons) for m in (found, complete))
    entry = {"reasons": sorted(reasons), "tried": tried, "before": before, "after": after}
    complete = replace(complete, extra={**found.extra, "retried": [*found.extra.get("retried", []), entry]})
    complete = replace(complete, seconds=found.seconds + round(time.monotonic() - started, 1))
    manifest.commit(
        output,
        complete,
        Manifest("faces", found.schema_version, recipe, "running", extra={manifest.REPLACES: found.fingerprint}),
    )
    log.info(
        "%s: %d photographs tried again; %s: %d before, %d now",
        output,
        tried,
        ", ".join(sorted(reasons)),
        before,
        after,
    )
    return complete


def committed(output: str, found: Manifest, recipe: Recipe, tag: str, indexes: Iterable[int]) -> Manifest:
    """Return the manifest with the new files in place of the old."""
    sizes = tables.done_parts(output, tag)
    files = list(found.files)
    for index in indexes:
        path = tables.part_path(tag, index)
        files[index] = DataFile(path, tables.read_footer(output, path).num_rows, sizes[index])
    footers = [tables.read_footer(output, file.path).metadata for file in files]
    counts = tables.add_counts([json.loads(footer[b"rupantara_counts"]) for footer in footers])
    return replace(found, recipe=recipe, files=tuple(files), counts=counts)
