"""The command line of every job: presets, exit codes, errors in one line."""

import contextlib
import io
import logging
import re
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import tyro

from jobs.runtime.cluster import connect, disconnect, quieten
from jobs.runtime.flags import REQUIRED, Common, Range, Signed, Uri, check_ranges, row_config
from jobs.runtime.places import absolute, places
from rupantara.errors import UserError

__all__ = [
    "REQUIRED",
    "Common",
    "Range",
    "Signed",
    "Uri",
    "connect",
    "disconnect",
    "execute",
    "places",
    "quieten",
    "row_config",
    "run",
    "run_kinds",
]

C = TypeVar("C", bound=Common)


def run(main: Callable[[C], None], presets: Mapping[str, C], description: str) -> None:
    """Parse the command line and run a job: exit 0 = complete, 1 = not and why in one line, 2 = usage."""
    _start_logging()
    name = _preset_name(sys.argv[1:])
    if name not in presets:
        print(f"error: --preset must be one of {', '.join(presets)}, got {name!r}", file=sys.stderr)
        sys.exit(2)
    default = presets[name]
    program = _program()
    if len(presets) > 1:
        description += f"\nPresets: {', '.join(presets)}."
    execute(main, _parse(type(default), default, program, description))


def _start_logging() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    for package in ("jobs", "rupantara"):
        logging.getLogger(package).setLevel(logging.INFO)


def run_kinds(kinds: Mapping[str, tuple[Common, Callable[[Any], None]]], description: str) -> None:
    """Run a job whose first word says what kind of it: each has its own flags (default config) and main."""
    _start_logging()
    form = tyro.extras.subcommand_type_from_defaults(
        {name: default for name, (default, _) in kinds.items()}, prefix_names=False
    )
    config = _parse(form, None, _program(), description)
    execute({type(default): main for default, main in kinds.values()}[type(config)], config)


def _program() -> str | None:
    spec = sys.modules["__main__"].__spec__
    return f"python -m {spec.name.removesuffix('.__main__')}" if spec else None


def execute(main: Callable[[C], None], config: C) -> None:
    """Run a job with a config from the command line: exit 0 = complete, 1 = not and why in one line."""
    config = absolute(config)
    check_ranges(config)
    started = time.monotonic()
    try:
        main(config)
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except RuntimeError as error:
        # An error of a worker arrives as Ray's own type, with the worker's traceback as its text.
        found = re.findall(r"rupantara\.errors\.\w+: (.+)", str(error))
        if not found:
            raise
        print(f"error: {found[-1]}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("error: interrupted; the same command goes on from here", file=sys.stderr)
        sys.exit(1)
    finally:
        disconnect()
    logging.getLogger("jobs").info("done in %.1f s", time.monotonic() - started)


def _parse(form: Any, default: Any, program: str | None, description: str) -> Any:
    """Read the command line; a usage error is one line on stderr and exit code 2."""
    # A long command of a docstring goes on in an indented line.
    description = re.sub(r" {4,}(?=--)", " ", description)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(form, prog=program, description=description, **({"default": default} if default else {}))
    except SystemExit as stop:
        if stop.code not in (0, None):
            words = re.sub(r"[\u2500-\u257f]|\x1b\[[0-9;]*m", " ", said.getvalue()).split()
            print("error:", *words, file=sys.stderr)
        raise


def _preset_name(arguments: list[str]) -> str:
    for i, argument in enumerate(arguments):
        if argument.startswith("--preset="):
            return argument.partition("=")[2]
        if argument == "--preset" and i + 1 < len(arguments):
            return arguments[i + 1]
    return "default"
