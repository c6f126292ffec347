"""The commit of a table: its files, counts and merged statistics become the manifest, and then what plain readers see."""

import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pyarrow.parquet as pq

from rupantara.storage import manifest as manifests
from rupantara.storage import parquet, statistics, uris
from rupantara.storage.manifest import DataFile, Manifest
from rupantara.storage.parquet import ASIDE, DATA, aside
from rupantara.storage.parts import COUNTS, PART, add_counts, done_parts, part_path, sizes_of
from rupantara.storage.statistics import Statistics

READ_THREADS, READ_AHEAD = 8, 16
"""Footers hold their part's statistics, which may be megabytes: few are read before they are merged."""


def commit_parts(
    uri: str,
    running: Manifest,
    num_parts: int,
    seconds: float,
    *,
    beside: Sequence[str] = (),
    keep_old: bool = False,
    amended: Mapping[int, str] | None = None,
    **extra: Any,
) -> Manifest:
    """Commit a table whose parts are all written, and the merger of their statistics; raise RuntimeError if one is missing.

    `amended` names files that take the place of parts, by part number.
    `beside` names folders of further files of this recipe, named after its fingerprint, that belong to the output. With
    `keep_old` the files of an output that it replaces stay, aside.
    """
    named = {i: part_path(running.fingerprint, i) for i in range(num_parts)} | dict(amended or {})
    paths, sizes = [named[i] for i in range(num_parts)], sizes_of(uri)
    missing = [index for index, path in enumerate(paths) if path not in sizes]
    if missing:
        raise RuntimeError(f"{len(missing)} of {num_parts} parts were not written to {uri}, the first is {missing[0]}")
    files, counts = committed_files(uri, paths, sizes, running.fingerprint)
    for folder in beside:
        others = uris.list_files(uris.join(uri, folder))
        mine = (e for e in others if e.path.startswith(running.fingerprint[:12]))
        files += [DataFile(f"{folder}/{e.path}", 0, e.size) for e in mine]
    done = replace(running, state="complete", counts=counts, seconds=round(seconds, 1), files=tuple(files), extra=extra)
    manifests.commit(uri, done, running, keep_old=keep_old)
    abandoned: str = running.extra.get(manifests.ABANDONS, "")
    for index in done_parts(uri, abandoned) if abandoned else ():
        parquet.delete(uri, part_path(abandoned, index))
    settle(uri, done)
    return done


def committed_files(
    uri: str, paths: Sequence[str], sizes: Mapping[str, int], fingerprint: str
) -> tuple[list[DataFile], dict[str, Any]]:
    """Read the footers of a table's files in their order; write the merger of their statistics, and return files and counts."""
    files: list[DataFile] = []
    counts: list[dict[str, Any]] = []

    def measured() -> Iterator[Statistics]:
        for path, footer in zip(paths, footers(uri, paths), strict=True):
            files.append(DataFile(path, footer.num_rows, sizes[path]))
            counts.append(json.loads(footer.metadata[COUNTS]))
            found = statistics.attached(footer.metadata)
            yield Statistics(found.sums) if found else Statistics()

    merged = statistics.merge(measured())
    if merged.sums:
        size = statistics.write(uri, fingerprint, merged)
        files.append(DataFile(statistics.path_of(fingerprint), 0, size))
    return files, add_counts(counts)


def size_of(uri: str, path: str) -> int:
    """Return the size of one file beside a table."""
    folder, _, name = path.rpartition("/")
    return next(e.size for e in uris.list_files(uris.join(uri, folder), recursive=False) if e.path == name)


def footers(uri: str, paths: Sequence[str]) -> Iterator[pq.FileMetaData]:
    """Read the footers of some files, several at a time, and yield them in their order."""
    with ThreadPoolExecutor(READ_THREADS) as pool:
        ahead: deque[Future[pq.FileMetaData]] = deque()
        for path in paths:
            ahead.append(pool.submit(parquet.read_footer, uri, path))
            if len(ahead) == READ_AHEAD:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def settle(uri: str, found: Manifest) -> None:
    """Bring the files of a commit into `data/`, and put other parts that lie there aside: then plain readers see the commit.

    Nothing happens where that is so already. A kill in the middle loses nothing: readers of the manifest look in both places.
    """
    wanted = {file.path for file in found.data}
    for entry in uris.list_files(uris.join(uri, DATA), recursive=False):
        path = f"{DATA}/{entry.path}"
        if path not in wanted and PART.fullmatch(path):
            uris.move(uris.join(uri, path), uris.join(uri, aside(path)))
    waiting = [f"{DATA}/{e.path}" for e in uris.list_files(uris.join(uri, ASIDE), recursive=False)]
    for path in waiting:
        if path in wanted:
            uris.move(uris.join(uri, aside(path)), uris.join(uri, path))
