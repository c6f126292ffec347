"""Run the rejected rows of some reasons again, in a table that is complete, and commit the table anew."""

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pyarrow as pa

from jobs.duplicates import reject_duplicates
from jobs.runtime import parts
from jobs.runtime.cli import Common
from rupantara import schema
from rupantara.errors import RefusedError, UserError
from rupantara.storage import manifest, tables, uris
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


def check(found: Manifest, recipe: Recipe) -> None:
    """Raise RefusedError unless only the photographs' bytes or times differ from what made the table."""
    photos = found.recipe.inputs.get("photos", "")
    same = replace(recipe, inputs={**recipe.inputs, "photos": photos})
    if same != found.recipe:
        raise RefusedError(
            f"--retry keeps the other rows, so nothing that made them may differ: {'; '.join(found.recipe.differences(same))}"
        )


def check_others(before: pa.Table, listed: pa.Table, wanted: Collection[bytes]) -> None:
    """Raise RefusedError when a photograph came, went or changed that is not tried again: its row would not be of it."""
    old, new = (
        dict(
            zip(t["path"].to_pylist(), zip(t["bytes"].to_pylist(), t["mtime_ns"].to_pylist(), strict=True), strict=True)
        )
        for t in (before, listed)
    )
    for path in sorted(old.keys() | new.keys()):
        if old.get(path) != new.get(path) and (path not in wanted or path not in new):
            what = "went" if path not in new else "came" if path not in old else "changed"
            raise RefusedError(
                f"--retry leaves all other photographs as they were, but {os.fsdecode(path)!r} {what}: use --overwrite"
            )


def plan(
    output: str, found: Manifest, reasons: Sequence[str], listed: pa.Table, uri_of: Callable[[bytes], str]
) -> list[parts.Part]:
    """Plan one part for each file that holds rejects of these reasons."""
    places = {uri_of(path): i for i, path in enumerate(listed["path"].to_pylist())}
    planned = []
    for index, file in enumerate(found.data):
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
    if found.recipe.job != recipe.job:
        raise UserError(f"--retry works on a table of jobs.{recipe.job}, got one of jobs.{found.recipe.job}")
    unknown = sorted(set(reasons) - found.counts["rejected"].keys())
    if unknown:
        raise UserError(
            f"--retry must name reasons of the table ({', '.join(found.counts['rejected'])}), got {unknown[0]!r}"
        )
    check(found, recipe)
    planned = plan(output, found, reasons, listed, uri_of)
    tried = {path for part in planned if part.rows is not None for path in part.rows["path"].to_pylist()}
    check_others(read_listing(output, found), listed, tried)
    write_listing(output, recipe, listed)
    number = len(found.extra.get("retried", []))
    tag = hashlib.sha256(f"{found.content} {recipe.fingerprint} {number} {sorted(reasons)}".encode()).hexdigest()
    done = tables.done_parts(output, tag)
    pending = [part for part in planned if part.index not in done]
    started = time.monotonic()
    if pending:
        parts.stream(config, pending, partial(RetryRows, output, make_stage), output, recipe.job, tag, None)
    complete = committed(
        output, found, recipe, tag, {part.index: tables.part_path(tag, part.index) for part in planned}
    )
    before, after = (sum(m.counts["rejected"].get(r, 0) for r in reasons) for m in (found, complete))
    entry = {"reasons": sorted(reasons), "tried": len(tried), "before": before, "after": after}
    complete = replace(complete, extra={**found.extra, "retried": [*found.extra.get("retried", []), entry]})
    complete = replace(complete, seconds=found.seconds + round(time.monotonic() - started, 1))
    manifest.commit(
        output,
        complete,
        Manifest("faces", found.schema_version, recipe, "running", extra={manifest.REPLACES: found.fingerprint}),
    )
    parts.write_beside(output, complete, anew=True)
    log.info(
        "%s: %d photographs tried again; %s: %d before, %d now",
        output,
        len(tried),
        ", ".join(sorted(reasons)),
        before,
        after,
    )
    return complete


def committed(output: str, found: Manifest, recipe: Recipe, tag: str, new: Mapping[int, str]) -> Manifest:
    """Return the manifest with the new files in place of the old, and what is there twice now rejected."""
    files = list(found.data)
    paths = [new.get(index, file.path) for index, file in enumerate(files)]
    new = {**new, **reject_duplicates(output, paths, tag, keep={file.path for file in files})}
    sizes = {f"data/{e.path}": e.size for e in uris.list_files(uris.join(output, "data"), recursive=False)}
    for index, path in new.items():
        files[index] = DataFile(path, tables.read_footer(output, path).num_rows, sizes[path])
    footers = [tables.read_footer(output, file.path).metadata for file in files]
    counts = tables.add_counts([json.loads(footer[b"rupantara_counts"]) for footer in footers])
    listing = next(e for e in uris.list_files(uris.join(output, LISTING)) if e.path.startswith(recipe.fingerprint[:12]))
    files.append(DataFile(f"{LISTING}/{listing.path}", 0, listing.size))
    return replace(found, recipe=recipe, files=tuple(files), counts=counts)


LISTING = "listing"
"""Folder of the photographs' names, sizes and times, by which a retry knows that the others are as they were."""


def write_listing(output: str, recipe: Recipe, listed: pa.Table) -> None:
    """Write what was listed for a recipe, beside its table."""
    uri = uris.join(output, LISTING, f"{recipe.fingerprint[:12]}.parquet")
    if not uris.exists(uri):
        tables.write_parquet(uri, listed)


def read_listing(output: str, found: Manifest) -> pa.Table:
    """Read what was listed for a table."""
    return tables.read_file(output, f"{LISTING}/{found.fingerprint[:12]}.parquet")
