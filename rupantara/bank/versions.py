"""Versions of a bank: each an immutable manifest over immutable files; the newest is also the folder's manifest.json.

    manifest.json             the newest version: what a reader of the bank opens
    versions/000002.json      each version as it was committed; creating it, once, is the commit
    data/ index/              files, shared between versions, that are never changed; rows of older versions alone lie in _parts/

A commit is a conditional create of the next version's file, so of two writers one wins; manifest.json follows. A writer that
dies between the two has committed: whoever writes next puts manifest.json right first.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from rupantara.bank.alignment import Alignment
from rupantara.bank.spaces import Spaces
from rupantara.errors import MissingError, RefusedError, UserError
from rupantara.storage import manifest, parquet, tables, uris
from rupantara.storage.manifest import Manifest


@dataclass(frozen=True)
class ShardFiles:
    """Parquet files of a shard, in the order that its index knows their rows, its FAISS files by region, and what they reach."""

    segments: tuple[str, ...]
    index: Mapping[str, str]
    settings: str = ""

    @staticmethod
    def from_json(stored: Mapping[str, Any]) -> "ShardFiles":
        """Read what a manifest keeps."""
        return ShardFiles(tuple(stored["segments"]), dict(stored["index"]), stored["settings"])

    def as_json(self) -> dict[str, Any]:
        """Return what a manifest keeps."""
        return {"segments": list(self.segments), "index": dict(self.index), "settings": self.settings}


@dataclass(frozen=True)
class BankVersion:
    """One version of a bank."""

    uri: str
    number: int
    manifest: Manifest
    shards: tuple[ShardFiles, ...]

    @property
    def content(self) -> str:
        """Return the fingerprint of what made it."""
        return self.manifest.fingerprint

    @property
    def model_sha256(self) -> str:
        """Return the SHA-256 of the weights that made its codes."""
        return self.manifest.extra["model_sha256"]

    @property
    def vectors(self) -> str:
        """Return the column of a features table that it holds."""
        return self.manifest.extra.get("vectors", "regions_mu")

    @property
    def spaces(self) -> Spaces | None:
        """Read the named spaces that were fitted with it; None for a bank of before there were any."""
        path = self.manifest.extra.get("spaces", "")
        return Spaces.from_bytes(uris.read_bytes(uris.join(self.uri, path))) if path else None

    @property
    def alignment(self) -> Alignment:
        """Return how codes of the two domains are brought into its space."""
        return Alignment.from_json(self.manifest.extra["alignment"])

    @property
    def species(self) -> dict[str, int]:
        """Return how many faces of each species it holds."""
        return dict(self.manifest.extra["species"])

    @property
    def removed(self) -> tuple[str, ...]:
        """Return the faces that were removed by id, and may not come back."""
        return tuple(self.manifest.extra.get("removed", ()))

    def rows(self, shard: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Read a shard's rows in the order of its index."""
        return pa.concat_tables([tables.read_file(self.uri, path, columns) for path in self.shards[shard].segments])


def version_path(number: int) -> str:
    """Name the manifest of a version, relative to the bank."""
    return f"versions/{number:06d}.json"


def _version(uri: str, found: Manifest) -> BankVersion:
    shards = tuple(ShardFiles.from_json(one) for one in found.extra["layout"])
    return BankVersion(uri, int(found.extra["version"]), found, shards)


def latest(uri: str) -> BankVersion:
    """Open the newest version of a complete bank: manifest.json's, or a later one whose writer died before it got there."""
    found = _version(uri, manifest.require(uri, "bank"))
    while uris.exists(path := uris.join(uri, version_path(found.number + 1))):
        found = _version(uri, Manifest.from_json(uris.read_bytes(path)))
    return found


def read(uri: str, number: int) -> BankVersion:
    """Open a version by its number; MissingError names those that there are."""
    path = uris.join(uri, version_path(number))
    if not uris.exists(path):
        newest = latest(uri)
        if newest.number == number:
            # A whole build that died before it kept its first version.
            return newest
        known = ", ".join(str(n) for n in sorted({*numbers(uri), newest.number}))
        raise MissingError(f"{uri} has no version {number}: it was pruned, or never made; there are {known}")
    return _version(uri, Manifest.from_json(uris.read_bytes(path)))


def numbers(uri: str) -> list[int]:
    """List the versions whose manifests are kept."""
    files = uris.list_files(uris.join(uri, "versions"), recursive=False)
    return sorted(int(f.path[:-5]) for f in files if f.path[:-5].isdigit() and f.path.endswith(".json"))


def keep_first(uri: str, first: Manifest) -> Manifest:
    """Keep the version that a whole build has just committed as manifest.json, and return it.

    Where another writer took its number meanwhile, it takes the next free one.
    """
    while True:
        try:
            _create(uri, first)
        except RefusedError:
            again = replace(first, extra={**first.extra, "version": next_number(uri)})
            _replace(uri, again, first)
            first = again
        else:
            return first


def removed(uri: str) -> list[str]:
    """Return the faces that were removed by id from what is there; none where there is no bank."""
    found = manifest.read(uri)
    return list(found.extra.get("removed", [])) if found is not None and found.schema == "bank" else []


def next_number(uri: str) -> int:
    """Return the number of the version that a writer would make now."""
    found = manifest.read(uri)
    newest = int(found.extra.get("version", 0)) if found is not None else 0
    return max([newest, *numbers(uri)]) + 1


def mend(uri: str) -> BankVersion:
    """Open the newest version after finishing a commit whose writer died: every version kept, and manifest.json the newest."""
    named = _version(uri, manifest.require(uri, "bank"))
    if named.number not in numbers(uri) or read(uri, named.number).content != named.content:
        named = _version(uri, keep_first(uri, named.manifest))
    newest = latest(uri)
    if newest.number > named.number:
        _replace(uri, newest.manifest, named.manifest)
    tables.settle(uri, newest.manifest)
    return newest


def commit(base: BankVersion, made: Manifest) -> BankVersion:
    """Commit a version after `base`; RefusedError when another writer was first, and nothing of this one is seen."""
    number = base.number + 1
    done = replace(made, state="complete", extra={**made.extra, "version": number})
    _create(base.uri, done)
    _replace(base.uri, done, base.manifest)
    return _version(base.uri, done)


def _create(uri: str, made: Manifest) -> None:
    path = uris.join(uri, version_path(made.extra["version"]))
    try:
        uris.write_bytes(path, made.to_json(), if_absent=True)
    except FileExistsError:
        winner = Manifest.from_json(uris.read_bytes(path))
        if winner.fingerprint != made.fingerprint:
            raise RefusedError(
                f"{uri} was changed by another writer meanwhile: version {made.extra['version']} is {winner.fingerprint[:12]}."
                " Run the same command again."
            ) from None


def _replace(uri: str, made: Manifest, old: Manifest) -> None:
    """Point manifest.json at a version. It follows the versions' files, whose creation is the decision."""
    found = manifest.read(uri)
    number = int(found.extra.get("version", 0)) if found is not None else 0
    if number > made.extra["version"]:
        return
    if found is not None and found.fingerprint not in (old.fingerprint, made.fingerprint):
        raise RefusedError(f"{uri} was replaced meanwhile ({found.fingerprint[:12]}): run the same command again")
    uris.write_bytes(uris.join(uri, manifest.NAME), made.to_json())
    tables.settle(uri, made)


def files_of(found: BankVersion) -> set[str]:
    """Return the files that a version stands on."""
    named = {path for shard in found.shards for path in (*shard.segments, *shard.index.values(), shard.settings)}
    return named - {""}


def prune(uri: str, keep: int) -> list[str]:
    """Delete the versions but the newest `keep`, and the files that only they stood on; return those.

    Files that no version lists are left alone: another writer may be at work on them.
    """
    if keep < 1:
        raise UserError(f"--keep must be at least 1, got {keep}")
    newest = mend(uri)
    known = numbers(uri)
    needed = set().union(*(files_of(found) for found in [*(read(uri, n) for n in known[-keep:]), newest]))
    stale = sorted(set().union(*(files_of(read(uri, n)) for n in known[:-keep])) - needed)
    for number in known[:-keep]:
        uris.delete(uris.join(uri, version_path(number)))
    for path in stale:
        parquet.delete(uri, path)
    return stale


def describe(found: BankVersion) -> str:
    """Describe a version in a few lines of JSON."""
    told = {
        "version": found.number,
        "fingerprint": found.content,
        "shards": len(found.shards),
        "segments": sum(len(shard.segments) for shard in found.shards),
        "species": found.species,
        "index": found.manifest.extra["index"],
    }
    return json.dumps(told, indent=1)
