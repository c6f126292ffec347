"""Ray Train as every training of this project sets it up."""

from dataclasses import dataclass
from typing import Any

import ray
import ray.data
import ray.train
import ray.train.torch

from jobs.cli import MALLOC, Common
from jobs.train_worker import Plan, train
from rupantara.storage import uris


@dataclass(frozen=True)
class Room:
    """How a training bears failures."""

    min_workers: int = 0
    max_failures: int = 2
    num_to_keep: int = 2


def fit(
    config: Common, plan: Plan, streams: dict[str, ray.data.Dataset], fingerprint: str, room: Room
) -> ray.train.Result:
    """Run Ray Train; the same storage path and name resume."""
    # Its V2 classes, the ones that run, are hidden from type checkers behind a switch at import.
    rt: Any = ray.train
    fs, path = uris.resolve(uris.join(plan.output, "_train"))
    workers = max(1, config.workers)
    resources = {"CPU": config.cpus_per_worker}
    resources |= {"GPU": config.gpus_per_worker} if config.gpus_per_worker else {}
    options = ray.data.ExecutionOptions(preserve_order=True)
    trainer = rt.torch.TorchTrainer(
        train,
        train_loop_config={"plan": plan},
        datasets=streams,
        dataset_config=rt.DataConfig(datasets_to_split=list(plan.batch), execution_options=options),
        scaling_config=rt.ScalingConfig(
            num_workers=(room.min_workers, workers) if 0 < room.min_workers < workers else workers,
            use_gpu=config.gpus_per_worker > 0,
            resources_per_worker=resources,
        ),
        run_config=rt.RunConfig(
            name=fingerprint[:12],
            storage_path=path,
            storage_filesystem=fs,
            failure_config=rt.FailureConfig(max_failures=room.max_failures, controller_failure_limit=2),
            checkpoint_config=rt.CheckpointConfig(num_to_keep=room.num_to_keep),
            worker_runtime_env={"env_vars": MALLOC},
        ),
    )
    return trainer.fit()
