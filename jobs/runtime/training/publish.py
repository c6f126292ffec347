"""The end of a training: the averaged weights of its last epoch become a checkpoint."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray.train
import torch

from rupantara.storage import checkpoints, manifest
from rupantara.storage.manifest import Manifest

Metrics = Mapping[str, float]


def publish(
    output: str,
    config: Mapping[str, Any],
    card: Callable[[Metrics], str],
    result: ray.train.Result,
    running: Manifest,
    **extra: Any,
) -> None:
    """Write config.json, weights and the card of the last epoch's metrics in the hub's layout, and commit."""
    assert result.checkpoint is not None
    with result.checkpoint.as_directory() as folder:
        saved = torch.load(Path(folder, "state.pt"), weights_only=True, map_location="cpu")
    last = saved["history"][-1]
    files, digest = checkpoints.write(output, config, saved["state"]["average"], card(last))
    done = replace(
        running,
        state="complete",
        files=tuple(files),
        counts={"in": int(last["images"]), "accepted": int(last["images"]), "rejected": {}},
        seconds=round(sum(row["seconds"] for row in saved["history"]), 1),
        extra={"model_sha256": digest, "metrics": last, **extra},
    )
    manifest.commit(output, done, running)
