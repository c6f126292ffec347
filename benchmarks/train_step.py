"""The region VAE's training step, in one run: under Ray Train against a plain loop, and ours against fp32 with default settings.

    python -m benchmarks.train_step [--size 128] [--steps 40]

The plain loop and the default one run in processes of their own, before and after Ray's: the machine drifts.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch

from jobs import train_vae
from jobs.cli import MALLOC
from rupantara.synthetic import SPECIES
from rupantara.training.region_vae import Networks, Objective

WARM_UP = 5
BATCH = {"human": 10, "animal": 6}


def config_of(size):
    preset = train_vae.presets()["256" if size == 256 else "128"]
    return train_vae.model_of(preset.__class__(**{**preset.__dict__, "size": size}), tuple(SPECIES))


def make_task(size, defaults, device):
    """Build the task; `defaults` is fp32 and PyTorch's own choice of AdamW (foreach), as a user's first loop has it."""
    from rupantara.stages.train_region_vae import RegionVAETask

    torch.manual_seed(0)
    task = RegionVAETask(config_of(size), Objective(bfloat16=not defaults), Networks(), None, device)
    if defaults:
        groups = task.state.optimizer.param_groups
        task.state.optimizer = torch.optim.AdamW(
            [{k: g[k] for k in ("params", "scale", "weight_decay")} for g in groups]
        )
    return task


def rows_of(count, size, name):
    """Return faces of noise, as the training stream has them."""
    from rupantara.stages.train_region_vae import blank_rows

    rows = dict(blank_rows(count, size, name))
    rows["image"] = np.random.default_rng(0).integers(0, 255, rows["image"].shape).astype(np.uint8)
    return rows


def plain(size, steps, defaults):
    """Return the mean seconds of a step of a loop whose batches lie in memory."""
    torch.set_num_threads(os.cpu_count() or 1)
    task = make_task(size, defaults, torch.device("cpu"))
    modules, rows = task.modules(), {n: rows_of(b * 4, size, n) for n, b in BATCH.items()}
    for step in range(WARM_UP + steps):
        if step == WARM_UP:
            started = time.perf_counter()
        at = step % 4
        batch = {n: {k: v[at * b : (at + 1) * b] for k, v in rows[n].items()} for n, b in BATCH.items()}
        task.step(modules, batch, 100_000)
    return (time.perf_counter() - started) / steps


class Unvalidated:
    """The task without its validation."""

    def __init__(self, task):
        self._task, self.state, self.modules, self.step = task, task.state, task.modules, task.step

    def validate(self, _):
        """Measure nothing."""
        from rupantara.training.task import Validation

        return Validation({}, [[np.zeros((8, 8, 3), np.uint8)]])


def make_unvalidated(size, device):
    return Unvalidated(make_task(size, False, device))


def under_ray(size, steps):
    """Return the mean seconds of a step of jobs.train_worker's own loop, in its second epoch."""
    import ray
    import ray.train
    from ray.train.torch import TorchTrainer

    from jobs import cli
    from jobs.train_worker import Plan, train

    cli.connect()
    count = {n: b * steps for n, b in BATCH.items()}
    datasets = {}
    for name in BATCH:
        rows = rows_of(count[name], size, name)
        items = [{k: v[i] for k, v in rows.items()} for i in range(count[name])]
        datasets[name] = datasets[f"val_{name}"] = ray.data.from_items(items).materialize()
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(partial(make_unvalidated, size), BATCH, count, (), 2, steps, 0, 0, folder)
        result = TorchTrainer(
            train,
            train_loop_config={"plan": plan},
            datasets=datasets,
            scaling_config=ray.train.ScalingConfig(num_workers=1, resources_per_worker={"CPU": 1}),
            run_config=ray.train.RunConfig(name="bench", storage_path=folder, worker_runtime_env={"env_vars": MALLOC}),
        ).fit()
        ray.shutdown()
        return result.return_value["seconds"] / steps


def apart(size, steps, defaults):
    """Run the plain loop in a process of its own; the default one without our allocator settings."""
    command = [sys.executable, "-m", "benchmarks.train_step", "--plain", "--size", str(size), "--steps", str(steps)]
    environment = os.environ | ({} if defaults else MALLOC)
    command += ["--defaults"] if defaults else []
    return float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--plain", action="store_true", help="only the plain loop, in this process")
    parser.add_argument("--defaults", action="store_true", help="fp32, PyTorch's default AdamW and allocator")
    args = parser.parse_args()
    if args.plain:
        print(plain(args.size, args.steps, args.defaults))
        return
    slow = args.steps // 4
    defaults = [apart(args.size, slow, True)]
    before, ray_s, after = (
        apart(args.size, args.steps, False),
        under_ray(args.size, args.steps),
        apart(args.size, args.steps, False),
    )
    defaults.append(apart(args.size, slow, True))
    ours = (before + after) / 2
    result = {
        "size": args.size,
        "batch": sum(BATCH.values()),
        "plain_s_per_step": [round(before, 3), round(after, 3)],
        "ray_train_s_per_step": round(ray_s, 3),
        "fp32_defaults_s_per_step": [round(s, 3) for s in defaults],
        "ray_train_over_plain": round(ours / ray_s, 3),
        "ours_over_fp32_defaults": round(sum(defaults) / 2 / ours, 2),
    }
    print(json.dumps(result))
    path = Path(__file__).with_name("train_step.json")
    found = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(
        json.dumps({**{k: v for k, v in found.items() if k.isdigit()}, str(args.size): result}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
