"""Parameters of a filter: fields of a frozen dataclass with the range they may have, and their reading from text."""

import dataclasses
from collections.abc import Sequence
from typing import Any, TypeVar

from rupantara.errors import UserError

S = TypeVar("S")


def ranged(default: float, low: float, high: float) -> Any:
    """Declare a dataclass field whose values are in [low, high]; a whole default takes whole numbers only."""
    return dataclasses.field(default=default, metadata={"range": (low, high)})


def odd(default: int, low: int, high: int) -> Any:
    """Declare a dataclass field of odd whole numbers in [low, high]: the side of a window that has a middle."""
    return dataclasses.field(default=default, metadata={"range": (low, high), "odd": True})


def read_options(kind: type[S], options: Sequence[str], text: str) -> S:
    """Build a step from `OPTION=VALUE` words; raise UserError for an option or value that is not known."""
    known = {f.name: f for f in dataclasses.fields(kind)}  # ty: ignore[invalid-argument-type]
    values: dict[str, float] = {}
    for option in options:
        name, _, value = option.partition("=")
        if name not in known:
            raise UserError(f"the options are {', '.join(known)}, got {option!r} in {text!r}")
        if name in values:
            raise UserError(f"{name} may be given once, got {text!r}")
        values[name] = _number(known[name], value, text)
    return kind(**values)


def _number(field: dataclasses.Field[Any], value: str, text: str) -> float:
    whole = isinstance(field.default, int)
    low, high = field.metadata["range"]
    kind = "an odd number" if "odd" in field.metadata else "a whole number" if whole else "a number"
    try:
        number = int(value) if whole else float(value)
    except ValueError:
        number = None
    # A NaN is in no range.
    if number is None or not low <= number <= high or ("odd" in field.metadata and number % 2 == 0):
        raise UserError(f"{field.name} must be {kind} in [{low:g}, {high:g}], got {value!r} in {text!r}")
    return number
