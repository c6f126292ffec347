"""The earlier way to run a plan, for jobs that have not gone over to `jobs.runtime.table_run` yet."""

from collections.abc import Callable, Sequence
from typing import Any

from jobs.runtime import table_run, workers
from jobs.runtime.flags import Common
from jobs.runtime.table_run import Reduced, TableRun
from rupantara.storage.manifest import Manifest
from rupantara.storage.plan import Part, vector_dim
from rupantara.storage.plan import of_files as parts_of
from rupantara.storage.recipe import Recipe

__all__ = ["Part", "parts_of", "run_parts", "vector_dim"]


def run_parts(
    config: Common,
    output: str,
    schema_name: str,
    recipe: Recipe,
    plan: Sequence[Part],
    make_stage: Callable[..., workers.Stage],
    *,
    version: int,
    columns: Sequence[str] | None = None,
    beside: str = "",
    finish: Callable[[], dict[str, Any]] = dict,
    **extra: Any,
) -> Manifest:
    """Make a table as `table_run.make` does (`version` is the schema's own and no longer read)."""
    run = TableRun(
        output=output,
        schema=schema_name,
        recipe=recipe,
        plan=plan,
        make_stage=make_stage,
        columns=columns,
        beside=(beside,) if beside else (),
        reduce=lambda: Reduced(finish()),
        extra=extra,
    )
    complete = table_run.make(config, run)
    assert complete is not None
    return complete
