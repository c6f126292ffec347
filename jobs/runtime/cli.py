"""What every job shares at the command line: common flags, presets, exit codes, errors in one line."""

import contextlib
import io
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, NoReturn, TypeVar

import tyro

from rupantara.errors import UserError
from rupantara.storage import uris

REQUIRED: Any = tyro.MISSING
"""Stands for a flag that has no default."""

PATH_FIELDS = frozenset(
    {
        "photos",
        "faces",
        "morphs",
        "table",
        "export",
        "weights",
        "keypoints",
        "checkpoint",
        "checkpoints",
        "features",
        "vectors",
        "networks",
        "mean_of",
        "bank",
        "generated",
        "enhanced",
        "affinity",
        "metrics",
        "probe",
        "packed",
        "comparison",
        "run",
        "init",
        "pretrained",
        "report",
    }
)
"""Fields that hold a path or URI."""

RUNTIME_FIELDS = frozenset({"preset", "overwrite", "dry_run", "workers", "cpus_per_worker", "gpus_per_worker"})
"""Fields that never change a row, so that they are no part of a fingerprint."""


SIGNED = frozenset({"seed", "perceptual_weight", "identity_weight"})
"""Numbers that may be negative."""

MALLOC = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "MALLOC_TOP_PAD_": "268435456",
}
"""Environment by which workers keep freed buffers: on a CPU page faults of fresh mappings cost a quarter of a training step."""


@dataclass(frozen=True, kw_only=True)
class Common:
    """Flags of every job."""

    OUTPUT: ClassVar[str] = ""
    """Field that names where the job writes."""

    preset: str = "default"
    """Named set of values that the other flags then change."""
    seed: int = 0
    """Seed of every random choice."""
    overwrite: bool = False
    """Replace an output that another recipe made (the old one stays whole until the new one is complete)."""
    dry_run: bool = False
    """Print the resolved config and the plan, and stop."""
    workers: int = 0
    """Worker actors; 0 = as many as fit on one machine, or as the autoscaler finds room for. Training: 0 = 1."""
    cpus_per_worker: float = 1.0
    """Ray CPUs that each worker asks for."""
    gpus_per_worker: float = 0.0
    """Ray GPUs that each worker asks for; training and extract compute on them."""


C = TypeVar("C", bound="Common")


def row_config(config: Common, *exclude: str) -> dict[str, Any]:
    """Return the part of a config that changes rows, as JSON values; `exclude` names URIs and other run-time fields."""
    skip = RUNTIME_FIELDS | set(exclude)
    return {f.name: _json(getattr(config, f.name)) for f in fields(config) if f.name not in skip}


def _json(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def run(main: Callable[[C], None], presets: Mapping[str, C], description: str) -> None:
    """Parse the command line and run a job: exit 0 = complete, 1 = not and why in one line, 2 = usage."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    for package in ("jobs", "rupantara"):
        logging.getLogger(package).setLevel(logging.INFO)
    name = _preset_name(sys.argv[1:])
    if name not in presets:
        print(f"error: --preset must be one of {', '.join(presets)}, got {name!r}", file=sys.stderr)
        sys.exit(2)
    default = presets[name]
    program = f"python -m {sys.modules['__main__'].__spec__.name}" if sys.modules["__main__"].__spec__ else None
    if len(presets) > 1:
        description += f"\nPresets: {', '.join(presets)}."
    config = _absolute(_parse(default, program, description))
    _check_counts(config)
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


def _absolute(config: C) -> C:
    """Make local paths absolute: a worker's current folder need not be the driver's."""
    given = {f.name: getattr(config, f.name) for f in fields(config) if f.name in PATH_FIELDS and f.type is str}
    found = {name: uris.absolute(value) for name, value in given.items() if value}
    check_output(config.OUTPUT, found, given)
    return replace(config, **found)


SUBMITTED = "_ray_pkg_"
"""In the name of the folder that a submitted job's working directory is unpacked in."""


def check_output(output: str, found: Mapping[str, str], given: Mapping[str, str]) -> None:
    """Exit with a usage error for an output over what the job reads, or in Ray's copy of the working directory, which goes with the job."""
    if output not in found:
        return
    same = [name for name in sorted(found) if name != output and _place(found[name]) == _place(found[output])]
    if same:
        _refuse(f"--{_flag(output)} must be another place than --{_flag(same[0])}, got {given[output]} for both")
    if SUBMITTED in os.getcwd() and found[output] != given[output] and SUBMITTED in found[output]:
        _refuse(
            f"--{_flag(output)} must be a URI or an absolute path in a submitted job, whose working directory is a copy that goes;"
            f" got {given[output]}"
        )


def _place(uri: str) -> str:
    """Return one spelling of a place."""
    if uris.is_local(uri):
        return os.path.realpath(uri)
    scheme, _, path = uri.partition("://")
    return f"{scheme}://{re.sub('/+', '/', path).strip('/')}"


def _refuse(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)


def _flag(name: str) -> str:
    return name.replace("_", "-")


def _check_counts(config: Common) -> None:
    """Exit with a usage error for a negative number where a number counts or weighs something."""
    for f in fields(config):
        value = getattr(config, f.name)
        if f.name not in SIGNED and isinstance(value, int | float) and value < 0:
            _refuse(f"--{_flag(f.name)} must not be negative, got {value}")


def _parse(default: C, program: str | None, description: str) -> C:
    """Read the command line; a usage error is one line on stderr and exit code 2."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(type(default), default=default, prog=program, description=description)
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


def disconnect() -> None:
    """Leave Ray, if this process joined or started one."""
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized():
        ray.shutdown()


def quieten() -> None:
    """Keep Ray's own progress lines out of the job's."""
    for name in ("ray.data", "ray.train", "ray.serve"):
        logging.getLogger(name).setLevel(logging.WARNING)


def connect() -> None:
    """Join the cluster that `RAY_ADDRESS` or `ray job submit` names, else start one on this machine."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray's own log of its workers' start has an alarming line for each actor pool; what fails comes as an exception all the same.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")
    os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    if ray.is_initialized():
        return
    level = logging.WARNING
    quieten()
    if os.environ.get("RAY_ADDRESS"):
        ray.init(logging_level=level)
        return
    # A private cluster on loopback needs no token, and none should be left in the user's home.
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    cpus = max(4, os.cpu_count() or 1)
    ray.init(address="local", num_cpus=cpus, include_dashboard=False, logging_level=level, log_to_driver=False)
