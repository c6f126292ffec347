"""Table runs without Ray: parts are worked one after the other, by the worker's own code, in this process.

A job's start of workers takes longer than the few rows of a test. The run of the whole way (`conftest.run`) has every job on Ray.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from ray import cloudpickle

from jobs.runtime import workers
from jobs.runtime.flags import Common
from rupantara.compute import Compute
from rupantara.storage.plan import Part


def run(config: Common, pending: Sequence[Part], work: workers.Work) -> list[dict[str, Any]]:
    """Work the parts as `workers.run` does; stage and parts are pickled on the way, as they are for a worker."""
    sent = cloudpickle.loads(cloudpickle.dumps(work))
    stage = workers.build_stage(sent, Compute)
    return [workers.work_part(sent, stage, cloudpickle.loads(cloudpickle.dumps(part)))[1] for part in pending]


def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work the parts of all table runs without Ray until the test ends."""
    monkeypatch.setattr(workers, "run", run)


@contextmanager
def without_ray() -> Iterator[None]:
    """Work the parts of the block's table runs without Ray."""
    with pytest.MonkeyPatch.context() as patch:
        in_this_process(patch)
        yield
