"""The region VAE's training step, in one run: under Ray Train against a plain loop, and ours against fp32 with default settings.

    python -m benchmarks.train_step [--size 128] [--steps 40] [--rounds 1] [--threads 0]

All see the same faces. Each is timed after a warm-up in a process of its own, the plain loop and the default one before and after
Ray's, because the machine drifts. Ray's second epoch is timed: what it waits for data, which a plain loop has in memory, is in it.
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


def faces_of(steps, size):
    """Return an epoch's faces of each stream."""
    return {name: rows_of(batch * steps, size, name) for name, batch in BATCH.items()}


def plain(size, steps, defaults, threads):
    """Return the mean seconds of a step of a loop whose batches lie in memory."""
    torch.set_num_threads(threads)
    task = make_task(size, defaults, torch.device("cpu"))
    modules, rows = task.modules(), faces_of(steps, size)
    for step in range(-WARM_UP, steps):
        if step == 0:
            started = time.perf_counter()
        at = step % steps
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


def make_unvalidated(size, defaults, device):
    return Unvalidated(make_task(size, defaults, device))


def under_ray(rows, steps, threads, make):
    """Return the mean seconds of a step in the second epoch of jobs.train_worker's loop, as the jobs run it."""
    import ray.data

    from jobs import cli
    from jobs.train_fit import fit
    from jobs.train_flags import Training
    from jobs.train_worker import Plan

    cli.connect()
    datasets = {}
    for name, columns in rows.items():
        items = [{k: v[i] for k, v in columns.items()} for i in range(len(columns["image"]))]
        # Blocks of some hundred faces, as decoding leaves them.
        datasets[name] = ray.data.from_items(items, override_num_blocks=1 + len(items) // 256).materialize()
    with tempfile.TemporaryDirectory() as folder:
        count = {name: len(columns["image"]) for name, columns in rows.items()}
        plan = Plan(make, BATCH, count, (), 2, steps, 0, threads, folder)
        result = fit(Training(workers=1), plan, datasets, "bench")
        ray.shutdown()
        return result.return_value["seconds"] / steps


def apart(module, *arguments, python=sys.executable, environment=None):
    """Run one measurement in a process of its own and return the number that its last line is."""
    command = [str(python), "-m", module, *map(str, arguments)]
    done = subprocess.run(command, env=os.environ | (environment or {}), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr[-4000:]}")
    return float(done.stdout.splitlines()[-1])


def write(path, result):
    """Keep one result a size and number of threads."""
    found = json.loads(path.read_text()) if path.exists() else {}
    name = f"{result['size']} px, threads {result['threads']}"
    path.write_text(json.dumps(found | {name: result}, indent=1) + "\n")


def parser_of(description):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--threads", type=int, default=0, help="torch threads of every side (0 = all)")
    parser.add_argument("--side", default="", help="measure only this side, in this process, and print its number")
    return parser


SIDES = {"plain": MALLOC, "ray": {}, "fp32": {}}
"""Each side's environment; Ray Train gives its worker the same as `plain` has, the defaults have their own allocator."""


def measure(side, size, steps, threads):
    """Return one side's seconds a step."""
    if side == "ray":
        return under_ray(faces_of(steps, size), steps, threads, partial(make_unvalidated, size, False))
    return plain(size, steps, side == "fp32", threads)


def main():
    parser = parser_of(__doc__)
    parser.add_argument("--rounds", type=int, default=1, help="times that Ray's loop is measured between the others")
    args = parser.parse_args()
    threads = args.threads or os.cpu_count() or 1
    if args.side:
        print(measure(args.side, args.size, args.steps, threads))
        return
    order = ["fp32", "plain", *["ray", "plain"] * args.rounds, "fp32"]
    found = {side: [] for side in SIDES}
    for side in order:
        steps = max(1, args.steps // 4) if side == "fp32" else args.steps
        settings = ["--size", args.size, "--steps", steps, "--threads", threads]
        found[side].append(apart("benchmarks.train_step", "--side", side, *settings, environment=SIDES[side]))
    mean = {side: sum(seconds) / len(seconds) for side, seconds in found.items()}
    result = {
        "size": args.size,
        "batch": sum(BATCH.values()),
        "steps": args.steps,
        "threads": threads,
        **{f"{side}_s_per_step": [round(s, 4) for s in seconds] for side, seconds in found.items()},
        "ray_train_over_plain": round(mean["plain"] / mean["ray"], 3),
        "ours_over_fp32_defaults": round(mean["fp32"] / mean["plain"], 2),
    }
    print(json.dumps(result))
    write(Path(__file__).with_name("train_step.json"), result)


if __name__ == "__main__":
    main()
