"""manifest.json: what made an output, from what, and which files are it. Writing it is the commit."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

from rupantara.errors import MissingError, RefusedError, UserError
from rupantara.schema import version_of
from rupantara.storage import parquet, uris
from rupantara.storage.recipe import Recipe

NAME = "manifest.json"
RUNNING = "_checkpoint/manifest.json"
REPLACES = "replaces"
"""Entry of a running manifest: the fingerprint of the complete output that it was allowed to replace."""
ABANDONS = "abandons"
"""Entry of a running manifest: the fingerprint of the unfinished run whose place it took."""


@dataclass(frozen=True)
class DataFile:
    """One committed file: path relative to the output, rows (0 where it has none) and size."""

    path: str
    rows: int
    bytes: int


@dataclass(frozen=True)
class Manifest:
    """The record beside an output; `counts` = {in, accepted, rejected: {reason: rows}}."""

    schema: str
    schema_version: int
    recipe: Recipe
    state: str
    counts: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    files: tuple[DataFile, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint of the recipe."""
        return self.recipe.fingerprint

    @property
    def data(self) -> tuple[DataFile, ...]:
        """Return the files that hold the table's rows, in order."""
        return tuple(file for file in self.files if file.path.startswith("data/"))

    @property
    def content(self) -> str:
        """Return what names the rows to whoever reads them: the fingerprint, and after retries the hash of it and of them."""
        retried = self.extra.get("retried")
        return (
            hashlib.sha256(f"{self.fingerprint} {json.dumps(retried)}".encode()).hexdigest()
            if retried
            else self.fingerprint
        )

    def to_json(self) -> bytes:
        """Encode as indented JSON, the fingerprint first."""
        fields = {"fingerprint": self.fingerprint, **asdict(self), "recipe": self.recipe.as_json()}
        return json.dumps(fields, indent=1).encode()

    @staticmethod
    def from_json(data: bytes) -> "Manifest":
        """Decode; raise UserError when it is not a manifest."""
        try:
            fields = json.loads(data)
            fields.pop("fingerprint")
            recipe = Recipe.from_json(fields.pop("recipe"))
            files = tuple(DataFile(**f) for f in fields.pop("files"))
            return Manifest(recipe=recipe, files=files, **fields)
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"manifest.json is not a manifest of this project: {error!r}") from error


def read(uri: str, *, running: bool = False) -> Manifest | None:
    """Read an output's manifest (or that of its unfinished run); None when there is none."""
    path = uris.join(uri, RUNNING if running else NAME)
    return Manifest.from_json(uris.read_bytes(path)) if uris.exists(path) else None


def require(uri: str, *schemas: str) -> Manifest:
    """Read the manifest of a complete output of one of these schemas, or say in one line what is wrong with it."""
    found = read(uri)
    if found is None:
        unfinished = read(uri, running=True) is not None
        why = "its job has not finished: run it again" if unfinished else "there is no manifest.json"
        raise MissingError(f"{'/'.join(schemas)} must be a complete output of this project, got {uri!r}: {why}")
    if found.schema not in schemas:
        raise UserError(f"{uri!r} must hold {' or '.join(schemas)}, got {found.schema}")
    wanted = version_of(found.schema)
    if found.schema_version != wanted:
        raise UserError(
            f"{uri!r} was made with version {found.schema_version} of the tables' columns and this is {wanted}: make it again with"
            " --overwrite"
        )
    return found


def begin(uri: str, schema: str, recipe: Recipe, *, version: int, overwrite: bool) -> Manifest | None:
    """Claim an output for a recipe: None when it is complete already, else the running manifest.

    An unfinished run of the same recipe is taken up again. Raise RefusedError when a complete output of another schema is
    there, or another recipe's, complete or not, and `overwrite` is off; with it, the old one stays whole until the new one is committed.
    """
    complete, unfinished = read(uri), read(uri, running=True)
    if complete is not None and complete.fingerprint == recipe.fingerprint:
        return None
    if complete is not None and complete.schema != schema:
        raise RefusedError(
            f"{uri} holds {complete.schema!r}, which {schema!r} never replaces, also with --overwrite: give another place, or delete it"
        )
    for found in (complete, unfinished):
        if found is not None and found.fingerprint != recipe.fingerprint and not overwrite:
            raise RefusedError(
                f"{uri} holds {found.schema!r} made by another recipe ({found.fingerprint[:12]}, this one is"
                f" {recipe.fingerprint[:12]}): {'; '.join(found.recipe.differences(recipe))}. Use --overwrite to replace it."
            )
    if complete is None and unfinished is None:
        _require_empty(uri)
    replaces = complete.fingerprint if complete else ""
    abandoned = ""
    if unfinished is not None:
        taken_up = unfinished.fingerprint == recipe.fingerprint
        abandoned = unfinished.extra.get(ABANDONS, "") if taken_up else unfinished.fingerprint
    running = Manifest(schema, version, recipe, "running", extra={REPLACES: replaces, ABANDONS: abandoned})
    uris.write_bytes(uris.join(uri, RUNNING), running.to_json())
    return running


def _require_empty(uri: str) -> None:
    entries = [e for e in uris.list_files(uri) if not e.path.rpartition("/")[2].startswith(uris.DRAFT)]
    if entries:
        raise UserError(
            f"the output folder must be empty or an output of this project, got {uri!r} with {entries[0].path!r}"
        )


def commit(uri: str, manifest: Manifest, running: Manifest | None = None, *, keep_old: bool = False) -> None:
    """Write the manifest last, once: readers see the whole output from here on; then clear what no longer belongs.

    With `keep_old` the files of the output that it replaces stay.

    Raise RefusedError when another run committed since `running` was begun.
    """
    path = uris.join(uri, NAME)
    old = read(uri)
    if old is not None and old.fingerprint not in (
        manifest.fingerprint,
        running.extra.get(REPLACES) if running else None,
    ):
        raise RefusedError(f"{uri} was committed by another run meanwhile ({old.fingerprint[:12]})")
    try:
        uris.write_bytes(path, manifest.to_json(), if_absent=old is None)
    except FileExistsError:
        winner = read(uri)
        if winner is None or winner.fingerprint != manifest.fingerprint:
            raise RefusedError(f"{uri} was committed by another run meanwhile") from None
    uris.delete(uris.join(uri, RUNNING))
    if old is not None and not keep_old:
        kept = {f.path for f in manifest.files}
        for stale in old.files:
            if stale.path not in kept:
                parquet.delete(uri, stale.path)
