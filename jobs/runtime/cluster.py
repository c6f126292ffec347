"""The cluster: joining it, what it has room for, and what it gave to a worker."""

import contextlib
import logging
import os
import resource
import sys
import tempfile
from collections.abc import Generator, Sequence
from pathlib import Path

from actors.starting import start_error
from rupantara.compute import Compute
from rupantara.errors import UserError

log = logging.getLogger("jobs")

MALLOC = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "MALLOC_TOP_PAD_": "268435456",
}
"""Environment by which workers keep freed buffers: on a CPU page faults of fresh mappings cost a quarter of a training step."""

FALSE_ALARMS = {
    "ray.data._internal.execution.resource_manager": "The job may hang forever",
    "ray.data.dataset": "The Dataset job will hang unless",
}
"""What Ray Data says, by the logger, where a worker starts slowly or the job's own actors hold all CPUs. Room that can never come is
refused before (`require_room`), and silence ends in an error."""

GREETING = b"Set ray log level from environment variable"
"""Of the line by which Ray says that it was told to say nothing; no level keeps it back."""


@contextlib.contextmanager
def without_greeting() -> Generator[None]:
    """Keep Ray's greeting off stderr; what else the block writes there, from any language, comes at its end."""
    if sys.stderr is None or os.environ.get("RAY_LOG_TO_STDERR") == "1":
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            said.seek(0)
            os.write(2, b"".join(line for line in said if GREETING not in line))


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
        with without_greeting():
            ray.init(logging_level=level)
        return
    # A private cluster on loopback needs no token, and none should be left in the user's home.
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    cpus = max(4, os.cpu_count() or 1)
    try:
        with without_greeting():
            ray.init(address="local", num_cpus=cpus, include_dashboard=False, logging_level=level, log_to_driver=False)
    except Exception as error:
        said = start_error(error)
        if said is error:
            raise
        raise said from error


def disconnect() -> None:
    """Leave Ray, if this process joined or started one."""
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized():
        ray.shutdown()


def quieten() -> None:
    """Keep Ray's own progress lines out of the job's, and on a Ray of this machine alone a warning that only says that it is slow."""
    for name in ("ray.data", "ray.train", "ray.serve"):
        logging.getLogger(name).setLevel(logging.WARNING)
    if not os.environ.get("RAY_ADDRESS"):
        for name in FALSE_ALARMS:
            logging.getLogger(name).addFilter(_is_no_false_alarm)


def _is_no_false_alarm(record: logging.LogRecord) -> bool:
    """Tell whether a record is none of FALSE_ALARMS."""
    return FALSE_ALARMS[record.name] not in record.getMessage()


def scales() -> bool:
    """Tell whether the head offers no CPU of its own, as `cluster.yaml` has it: then nodes come on demand."""
    import ray

    return len(ray.nodes()) > 1 or ray.cluster_resources().get("CPU", 0.0) == 0


def require_room(workers: int, cpus: float, gpus: float, what: str = "worker") -> None:
    """Raise UserError when the cluster can never hold so many workers of this size; say at once when they have to wait.

    An autoscaled cluster is asked only whether it has any CPU at all in the end: nodes come on demand.
    """
    import ray

    if scales():
        return
    total, free = ray.cluster_resources(), ray.available_resources()
    for name, each, flag in (("CPU", cpus, "--cpus-per-worker"), ("GPU", gpus, "--gpus-per-worker")):
        there, left = total.get(name, 0.0), free.get(name, 0.0)
        if each and not there:
            raise UserError(f"{flag} {each:g} needs a {name}, and the cluster has none")
        if each > there:
            raise UserError(f"{flag} {each:g} must be at most the cluster's {there:g} {name}s")
        if each * workers > there:
            fit = int(there / each)
            raise UserError(
                f"{workers} {what}s of {each:g} {name}s need {each * workers:g}, and the cluster has {there:g}: --workers {fit} fit"
            )
        if each * min(workers, 1) > left:
            log.warning(
                "waiting: a %s needs %g %s, and %g of the cluster's %g are free; `ray status` says who holds the others",
                *(what, each, name, left, there),
            )


def workers_that_fit(cpus: float, gpus: float, parts: int) -> int:
    """Return how many workers of this size one machine has room for, with a CPU left for Ray Data's own tasks."""
    import ray

    total = ray.cluster_resources()
    there = total.get("CPU", 0.0)
    # The embedded Ray promises more CPUs than the machine has, so that small actors fit beside the workers.
    room = min(there - 1, os.cpu_count() or 1) if there <= 4 else there - 1
    fit = int(room / max(cpus, 0.01))
    if gpus:
        fit = min(fit, int(total.get("GPU", 0) / gpus))
    return max(1, min(fit, parts))


def given() -> Compute:
    """Return what Ray gave this worker: its device, and as many threads as it holds CPUs."""
    import ray

    context = ray.get_runtime_context()
    cpus = float(context.get_assigned_resources().get("CPU", 1.0))
    gpus: Sequence[str] = context.get_accelerator_ids().get("GPU", [])
    return Compute("cuda" if gpus else "cpu", max(1, int(cpus)))


def peak_mib() -> float:
    """Return the most memory that this process has held, MiB."""
    # Linux lets `ru_maxrss` of a program begin at that of the one that started it; `VmHWM` is its own.
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    own = [int(line.split()[1]) for line in lines if line.startswith("VmHWM")]
    return round((own or [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss])[0] / 1024, 1)
