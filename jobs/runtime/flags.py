"""Flags of every job, and what a flag's annotation says of it: that it is a place, and between which numbers it lies."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, NoReturn, get_args, get_origin, get_type_hints

import tyro

REQUIRED: Any = tyro.MISSING
"""Stands for a flag that has no default."""


class Place:
    """Marks a flag that is a path or URI."""


@dataclass(frozen=True)
class Range:
    """Marks the least and the greatest value of a number; numbers without a mark must not be negative."""

    least: float = 0.0
    most: float = float("inf")


Uri = Annotated[str, Place(), tyro.conf.arg(metavar="URI")]
"""A path or URI: local paths are made absolute, and an output may not be an input."""
Signed = Range(least=-float("inf"))
"""Of a number that may be negative: `shift: Annotated[float, Signed] = 0.0`."""

RUNTIME_FIELDS = frozenset(
    {"preset", "overwrite", "dry_run", "workers", "cpus_per_worker", "gpus_per_worker", "allow_all_rejects"}
)
"""Fields that never change a row, so that they are no part of a fingerprint."""


@dataclass(frozen=True, kw_only=True)
class Common:
    """Flags of every job."""

    OUTPUT: ClassVar[str] = ""
    """Field that names where the job writes."""

    preset: str = "default"
    """Named set of values that the other flags then change."""
    seed: Annotated[int, Signed] = 0
    """Seed of every random choice."""
    overwrite: bool = False
    """Replace an output that another recipe made (the old one stays whole until the new one is complete)."""
    dry_run: bool = False
    """Print the resolved config and the plan, and stop."""
    workers: int = 0
    """Worker actors; 0 = as many as fit on one machine, or as the autoscaler finds room for. Training: 0 = 1."""
    cpus_per_worker: float = 1.0
    """Ray CPUs that each worker asks for; it computes on so many threads."""
    gpus_per_worker: float = 0.0
    """Ray GPUs that each worker asks for; stages with a network compute on them."""
    allow_all_rejects: bool = False
    """Take a table whose rows are all rejects for a success."""


def row_config(config: Common, *exclude: str) -> dict[str, Any]:
    """Return the part of a config that changes rows, as JSON values; `exclude` names places and other run-time fields."""
    skip = RUNTIME_FIELDS | set(exclude)
    return {f.name: _json(getattr(config, f.name)) for f in fields(config) if f.name not in skip}


def _json(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def marks(config: type[Common]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield each field with what its annotation says of it."""
    hints = get_type_hints(config, include_extras=True)
    for field in fields(config):
        hint = hints[field.name]
        # Of a list of places each is one.
        inner = get_args(hint)[0] if get_origin(hint) is tuple else hint
        yield field.name, getattr(inner, "__metadata__", ())


def check_ranges(config: Common) -> None:
    """Exit with a usage error for a number outside its range; where no range is marked, for a negative one."""
    for name, said in marks(type(config)):
        value = getattr(config, name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        allowed = next((mark for mark in said if isinstance(mark, Range)), Range())
        if value < allowed.least and allowed == Range():
            refuse(f"--{flag(name)} must not be negative, got {value}")
        if not allowed.least <= value <= allowed.most:
            refuse(f"--{flag(name)} must be {_words(allowed)}, got {value}")


def _words(allowed: Range) -> str:
    least = f"at least {allowed.least:g}" if allowed.least > -float("inf") else ""
    most = f"at most {allowed.most:g}" if allowed.most < float("inf") else ""
    return " and ".join(words for words in (least, most) if words)


def refuse(message: str) -> NoReturn:
    """Exit with a usage error."""
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)


def flag(name: str) -> str:
    """Spell a field as its flag."""
    return name.replace("_", "-")
