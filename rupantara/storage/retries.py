"""What may differ between a table and a retry of some of its rejects: nothing that made the rows that stay."""

import os
from collections.abc import Collection
from dataclasses import replace

import pyarrow as pa

from rupantara.errors import RefusedError
from rupantara.storage.manifest import Manifest
from rupantara.storage.recipe import Recipe


def check_recipe(found: Manifest, recipe: Recipe) -> None:
    """Raise RefusedError unless only the photographs' bytes or times differ from what made the table."""
    photos = found.recipe.inputs.get("photos", "")
    same = replace(recipe, inputs={**recipe.inputs, "photos": photos})
    if same != found.recipe:
        raise RefusedError(
            f"--retry keeps the other rows, so nothing that made them may differ: {'; '.join(found.recipe.differences(same))}"
        )


def check_others(before: pa.Table, listed: pa.Table, wanted: Collection[bytes]) -> None:
    """Raise RefusedError where a photograph outside `wanted` was added, removed or changed, or one of `wanted` is gone.

    The row that is kept of it would not be of what lies there.
    """
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
