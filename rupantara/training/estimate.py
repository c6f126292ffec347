"""What a training will cost: parameters and operations of a step, and the seconds of a few steps on this machine."""

import time
from collections.abc import Mapping

import torch
from torch.utils.flop_counter import FlopCounterMode

from rupantara.training.streams import Rows
from rupantara.training.task import Task

TIMED_STEPS = 3


def estimate(task: Task, batches: Mapping[str, Rows], steps: int, epochs: int, device: torch.device) -> str:
    """Take a few steps on batches of each stream, and say what `epochs` of `steps` come to."""
    modules, images = task.modules(), sum(len(next(iter(rows.values()))) for rows in batches.values())
    with FlopCounterMode(display=False) as counter:
        task.step(modules, batches, 1)
    started = time.perf_counter()
    for _ in range(TIMED_STEPS):
        float(task.step(modules, batches, 1)["loss"])
    seconds = (time.perf_counter() - started) / TIMED_STEPS
    parameters = sum(p.numel() for p in task.state.model.parameters())
    return (
        f"{parameters} parameters\n{counter.get_total_flops() / 1e9:.1f} GFLOP a step of {images} images,"
        f" forward and backward\n{steps} steps an epoch, {epochs} epochs\n"
        f"{seconds:.2f} s a step on this machine ({device.type}): about {seconds * steps * epochs / 60:.0f} min"
        " with one worker here"
    )
