"""Flags that are places: local paths are made absolute, and a job does not write over what it reads."""

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from jobs.runtime.flags import Common, Place, flag, marks, refuse
from rupantara.storage import uris

C = TypeVar("C", bound=Common)


def places(config: type[Common]) -> list[str]:
    """Name the fields that hold a path or URI."""
    return [name for name, said in marks(config) if any(isinstance(mark, Place) for mark in said)]


def absolute(config: C) -> C:
    """Return the config with local paths made absolute, because a worker's folder is not the driver's.

    Exit with a usage error for an output that `check_output` refuses.
    """
    given = {name: getattr(config, name) for name in places(type(config))}
    lists = {name: tuple(map(uris.absolute, value)) for name, value in given.items() if isinstance(value, tuple)}
    found = {name: uris.absolute(value) for name, value in given.items() if isinstance(value, str) and value}
    check_output(config.OUTPUT, found, given)
    return replace(config, **found, **lists)


SUBMITTED = "_ray_pkg_"
"""In the name of the folder that a submitted job's working directory is unpacked in."""


def check_output(output: str, found: Mapping[str, str], given: Mapping[str, str]) -> None:
    """Exit with a usage error for an output over what the job reads, or in Ray's copy of the working directory, which goes with the job."""
    if output not in found:
        return
    same = [name for name in sorted(found) if name != output and _place(found[name]) == _place(found[output])]
    if same:
        refuse(f"--{flag(output)} must be another place than --{flag(same[0])}, got {given[output]} for both")
    if SUBMITTED in os.getcwd() and found[output] != given[output] and SUBMITTED in found[output]:
        refuse(
            f"--{flag(output)} must be a URI or an absolute path in a submitted job, whose working directory is a copy that goes;"
            f" got {given[output]}"
        )


def _place(uri: str) -> str:
    """Return one spelling of a place."""
    if uris.is_local(uri):
        return os.path.realpath(uri)
    scheme, _, path = uri.partition("://")
    return f"{scheme}://{re.sub('/+', '/', path).strip('/')}"
