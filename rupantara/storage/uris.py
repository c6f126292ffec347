"""URIs to pyarrow filesystems, and the few whole-object verbs that everything else is written with.

Local paths and `s3://bucket/key`; the endpoint, region and credentials of S3 come from the standard AWS variables, which
pyarrow and boto3 read by themselves.
"""

import contextlib
import hashlib
import os
import stat
import uuid
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs

from rupantara.errors import MissingError, UserError

DRAFT = ".draft-"
"""Prefix of a local file that is being written; a kill may leave one, and nobody reads it."""


@dataclass(frozen=True)
class FileEntry:
    """One listed file: `path` is relative to the listed folder, with `/`; `size` is -1 for a link that leads nowhere."""

    path: str
    size: int
    mtime_ns: int


@lru_cache(maxsize=1)
def _s3() -> pafs.FileSystem:
    # By URI, because the constructor does not read AWS_ENDPOINT_URL (apache/arrow#49643). With a delayed open a small object is
    # one request, not three.
    return pafs.FileSystem.from_uri("s3://?allow_delayed_open=true")[0]


def is_local(uri: str) -> bool:
    """Tell whether the URI names a path of this machine."""
    return "://" not in uri or uri.startswith("file://")


def resolve(uri: str) -> tuple[pafs.FileSystem, str]:
    """Split a URI into its filesystem and the path there."""
    if not uri:
        raise UserError("a path or URI is needed, got ''")
    if is_local(uri):
        return pafs.LocalFileSystem(), str(Path(uri.removeprefix("file://")).absolute())
    scheme, _, path = uri.partition("://")
    if scheme != "s3":
        raise UserError(f"URI must be a local path or s3://, got {uri!r}")
    if not path.strip("/"):
        raise UserError(f"an s3 URI names a bucket, got {uri!r}")
    return _s3(), path.rstrip("/")


def absolute(uri: str) -> str:
    """Make a local path absolute; other URIs stay as they are."""
    return resolve(uri)[1] if is_local(uri) else uri


def join(uri: str, *parts: str) -> str:
    """Append path parts to a URI."""
    return "/".join([uri.rstrip("/"), *parts])


@contextlib.contextmanager
def _named_errors(uri: str) -> Generator[None]:
    """Say which URI an error of the object store belongs to, in one line."""
    try:
        yield
    except (FileNotFoundError, FileExistsError, UserError):
        raise
    except OSError as error:
        raise UserError(f"{uri}: {' '.join(str(error).split())}") from error


def exists(uri: str) -> bool:
    """Tell whether a file is there."""
    fs, path = resolve(uri)
    if is_local(uri):
        return Path(path).is_file()
    with _named_errors(uri):
        return fs.get_file_info(path).type == pafs.FileType.File


class TooLargeError(OSError):
    """A file is larger than the reader allows."""


def read_bytes(uri: str, max_bytes: int | None = None) -> bytes:
    """Read a whole file; names that are not UTF-8 are read too (as `os.fsdecode` spells them).

    Raise OSError for a local pipe, socket or device, whose reading might never end, and TooLargeError for a file of more
    than `max_bytes`, of which no more than that is ever held.
    """
    with _opened(uri) as stream:
        data = stream.read() if max_bytes is None else stream.read(max_bytes + 1)
    if max_bytes is not None and len(data) > max_bytes:
        raise TooLargeError(f"{uri} is over {max_bytes} bytes")
    return data


def read_head(uri: str, num_bytes: int) -> bytes:
    """Read at most the first `num_bytes` bytes of a file; raise OSError for a local pipe, socket or device."""
    with _opened(uri) as stream:
        return stream.read(num_bytes)


def _opened(uri: str) -> Any:
    fs, path = resolve(uri)
    if not is_local(uri):
        return fs.open_input_stream(path)
    kind = os.stat(path).st_mode
    if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
        raise OSError(f"{path} is a pipe, socket or device, not a file")
    return Path(path).open("rb")


def write_bytes(uri: str, data: bytes, *, if_absent: bool = False) -> None:
    """Write a whole file so that it is either wholly there or not at all.

    With `if_absent`, raise FileExistsError when it is there already (S3: `If-None-Match: *`).
    """
    fs, path = resolve(uri)
    if is_local(uri):
        _write_local(Path(path), data, if_absent)
    elif if_absent:
        _put_if_absent(path, data)
    else:
        with _named_errors(uri), fs.open_output_stream(path) as stream:
            stream.write(data)


def _write_local(path: Path, data: bytes, if_absent: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{DRAFT}{uuid.uuid4().hex}")
    try:
        draft.write_bytes(data)
        if if_absent:
            os.link(draft, path)
        else:
            os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _put_if_absent(path: str, data: bytes) -> None:
    import boto3
    from botocore.exceptions import ClientError

    bucket, _, key = path.partition("/")
    try:
        boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=data, IfNoneMatch="*")
    except ClientError as error:
        if error.response["Error"]["Code"] in ("PreconditionFailed", "412"):
            raise FileExistsError(f"s3://{path}") from error
        raise UserError(f"s3://{path}: {error}") from error


def delete(uri: str) -> None:
    """Delete one file; nothing happens when it is not there."""
    fs, path = resolve(uri)
    with contextlib.suppress(FileNotFoundError):
        fs.delete_file(path)


def move(uri: str, to: str) -> None:
    """Move one file within a place; nothing happens when it is there already and here no more."""
    fs, path = resolve(uri)
    target = resolve(to)[1]
    if is_local(to):
        Path(target).parent.mkdir(parents=True, exist_ok=True)
    try:
        fs.move(path, target)
    except FileNotFoundError:
        if not exists(to):
            raise


def list_files(uri: str, *, recursive: bool = True) -> list[FileEntry]:
    """List the files below a folder, sorted by path; an absent folder has none. Links that lead nowhere are listed."""
    fs, root = resolve(uri)
    if is_local(uri):
        return sorted(_walk_local(Path(root), recursive), key=lambda entry: entry.path)
    with _named_errors(uri):
        infos = fs.get_file_info(pafs.FileSelector(root, recursive=recursive, allow_not_found=True))
    files = [info for info in infos if info.type == pafs.FileType.File]
    entries = [FileEntry(info.path[len(root) + 1 :], info.size, info.mtime_ns or 0) for info in files]
    return sorted(entries, key=lambda entry: entry.path)


def walk(uri: str) -> Iterator[FileEntry]:
    """Yield the files below a folder, sorted by path, as they are listed: of a million no list is held."""
    root = resolve(uri)[1]
    yield from _walk_local(Path(root), True) if is_local(uri) else _walk_s3(root)


def _walk_s3(root: str) -> Iterator[FileEntry]:
    import boto3

    bucket, _, prefix = root.partition("/")
    prefix = f"{prefix}/" if prefix else ""
    pages = boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    for page in pages:
        for found in page.get("Contents", ()):
            if not found["Key"].endswith("/"):
                time = found["LastModified"]
                mtime_ns = int(time.replace(microsecond=0).timestamp()) * 10**9 + time.microsecond * 1000
                yield FileEntry(found["Key"].removeprefix(prefix), found["Size"], mtime_ns)


def _walk_local(
    folder: Path, recursive: bool, prefix: str = "", above: frozenset[str] = frozenset()
) -> Iterator[FileEntry]:
    """Follow links to folders, but not into a folder that is already open above (a loop); sorted by path."""
    here = above | {os.path.realpath(folder)}
    with os.scandir(folder) if folder.is_dir() else contextlib.nullcontext([]) as entries:
        # A folder stands where its files' paths do: after `a.jpg` comes what is in `a`, because "." is before "/".
        for entry in sorted(entries, key=_place_of):
            path = prefix + entry.name
            try:
                found = entry.stat()
            except OSError:
                yield FileEntry(path, -1, 0)
                continue
            if not entry.is_dir():
                yield FileEntry(path, found.st_size, found.st_mtime_ns)
            elif recursive and os.path.realpath(entry.path) not in here:
                yield from _walk_local(Path(entry.path), recursive, f"{path}/", here)


def _place_of(entry: os.DirEntry[str]) -> str:
    with contextlib.suppress(OSError):
        return f"{entry.name}/" if entry.is_dir() else entry.name
    return entry.name


class FilesHash:
    """Hash of names, sizes and times of listed files: the identity of a folder that nobody wrote a manifest for."""

    def __init__(self) -> None:
        """Begin with no file."""
        self._digest = hashlib.sha256()

    def add(self, entry: FileEntry) -> None:
        """Take the next file, in the order of paths."""
        self._digest.update(f"{entry.path}\0{entry.size}\0{entry.mtime_ns}\n".encode("utf-8", "surrogateescape"))

    def hexdigest(self) -> str:
        """Return the hash of those so far."""
        return self._digest.hexdigest()


def fingerprint_files(entries: list[FileEntry]) -> str:
    """Hash listed files (`FilesHash`)."""
    digest = FilesHash()
    for entry in entries:
        digest.add(entry)
    return digest.hexdigest()


def require_folder(uri: str, what: str) -> None:
    """Raise MissingError unless a folder (or an S3 prefix with something in it) is there."""
    fs, path = resolve(uri)
    with _named_errors(uri):
        kind = fs.get_file_info(path).type
    # Tools mark a folder of S3 by an empty object of its name, which Arrow takes for a file.
    marked = kind == pafs.FileType.File and not is_local(uri) and next(_walk_s3(path), None) is not None
    if kind != pafs.FileType.Directory and not marked:
        raise MissingError(f"{what} must be a folder that exists, got {uri!r}")
