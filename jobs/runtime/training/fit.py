"""Ray Train as every training of this project sets it up."""

import json
import logging
import os
from typing import Any

import ray
import ray.data
import ray.train
import ray.train.torch

from jobs.runtime.cluster import MALLOC
from jobs.runtime.training import stop
from jobs.runtime.training.flags import TrainingFlags
from jobs.runtime.training.loop import WorkerPlan, run_worker
from jobs.runtime.training.room import Room
from rupantara.errors import UserError
from rupantara.storage import uris

log = logging.getLogger("jobs")
SPIN = {"GOMP_SPINCOUNT": "5000000"}
"""Environment by which torch's threads wait for each other some milliseconds before they sleep. Ray's processes interrupt them often, and
with the usual wait both then have to be woken: of a step at 256 x 256 on two cores that costs a fifth."""


def fit(
    config: TrainingFlags, plan: WorkerPlan, streams: dict[str, ray.data.Dataset], fingerprint: str, room: Room
) -> ray.train.Result:
    """Run Ray Train; the same storage path and name resume.

    UserError where a worker met one: what it saved until then is kept, and the same command goes on from there.
    """
    # Its V2 classes, the ones that run, are hidden from type checkers behind a switch at import.
    rt: Any = ray.train
    storage, name = uris.join(plan.output, "_train"), fingerprint[:12]
    fs, path = uris.resolve(storage)
    _say_if_resumed(plan, uris.join(storage, name))
    workers = config.num_workers
    # Room was found; what is lost later (a machine that goes) is waited for so long, and no longer.
    os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", str(room.wait_s))
    options = ray.data.ExecutionOptions(preserve_order=True)
    alone = workers == 1 and not room.gpus
    trainer = rt.torch.TorchTrainer(
        run_worker,
        train_loop_config={"plan": plan},
        datasets=streams,
        dataset_config=rt.DataConfig(datasets_to_split=list(plan.batch), execution_options=options),
        scaling_config=rt.ScalingConfig(
            num_workers=(config.min_workers, workers) if 0 < config.min_workers < workers else workers,
            use_gpu=room.gpus > 0,
            resources_per_worker=room.bundle,
        ),
        run_config=rt.RunConfig(
            name=name,
            storage_path=path,
            storage_filesystem=fs,
            failure_config=rt.FailureConfig(max_failures=config.max_failures, controller_failure_limit=2),
            checkpoint_config=rt.CheckpointConfig(num_to_keep=config.num_to_keep),
            worker_runtime_env={"env_vars": MALLOC | (SPIN if alone else {})},
        ),
    )
    stop.clear(plan.output)
    try:
        result = trainer.fit()
    except rt.TrainingFailedError as error:
        _raise_if_stopped(plan, name)
        if isinstance(error, rt.ControllerError) and "startup timed out" in str(error):
            raise UserError(
                f"{plan.output}: the workers could not be placed again: {_last_line(error)}; the same command goes on from here"
            ) from None
        raise
    _raise_if_stopped(plan, name)
    return result


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1]


def _raise_if_stopped(plan: WorkerPlan, name: str) -> None:
    """Raise UserError with a worker's reason, and say which epoch is kept."""
    why = stop.reason(plan.output)
    if not why:
        return
    stop.clear(plan.output)
    latest = _latest(uris.join(plan.output, "_train", name))
    kept = f"the state after epoch {latest} is kept" if latest else "no epoch was finished"
    raise UserError(f"{plan.output}: training stopped: {why}; {kept}, and nothing was published")


def _say_if_resumed(plan: WorkerPlan, states: str) -> None:
    """Log where an unfinished training goes on; Ray Train itself resumes, from the state that its snapshot names."""
    if latest := _latest(states):
        log.info("%s: going on after epoch %d of %d", plan.output, latest, plan.epochs)


def _latest(states: str) -> int:
    """Return the number of the last epoch whose state is kept, 0 where there is none."""
    snapshot = uris.join(states, "checkpoint_manager_snapshot.json")
    if not uris.exists(snapshot):
        return 0
    latest = json.loads(uris.read_bytes(snapshot)).get("latest_checkpoint_result") or {}
    return int(latest.get("checkpoint_dir_name", "0").removeprefix("epoch_"))
