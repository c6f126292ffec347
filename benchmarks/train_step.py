"""The region VAE's training step, in one run: under Ray Train against a plain loop, and ours against fp32 with default settings.

The latter twice: on our own blocks, and on the same network of torch's (nearest neighbours and a convolution, its fused attention, its
shuffles), which is what a plain loop would have.

    python -m benchmarks.train_step [--size 128] [--steps 40] [--rounds 1] [--threads 0]

All see the same faces, each side in a process of its own, after a warm-up. Machines drift within minutes, so the plain loops take
two steps in turn, and the median of their turns' ratios counts. Ray, whose idle processes would disturb the others' turns, comes
between runs of the plain loop and is held against the two around it; its second epoch is timed: what it waits for data, which a
plain loop has in memory, is in it.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from itertools import count, islice, pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from jobs import train_vae
from jobs.runtime.cluster import MALLOC
from rupantara.synthetic import SPECIES
from rupantara.training.region_vae import Networks, RegionVAEObjective

WARM_UP = 5
BATCH = {"human": 10, "animal": 6}


def config_of(size):
    preset = train_vae.presets()["256" if size == 256 else "128"]
    return train_vae.model_of(preset.__class__(**{**preset.__dict__, "size": size}), tuple(SPECIES))


def make_task(size, defaults, device):
    """Build the task; `defaults` is fp32 and PyTorch's own choice of AdamW (foreach), as a user's first loop has it."""
    from rupantara.training.region_vae_task import RegionVAETask

    torch.manual_seed(0)
    task = RegionVAETask(config_of(size), RegionVAEObjective(bfloat16=not defaults), Networks(), None, device)
    if defaults:
        groups = task.state.optimizer.param_groups
        task.state.optimizer = torch.optim.AdamW(
            [{k: g[k] for k in ("params", "scale", "weight_decay")} for g in groups]
        )
    return task


def with_torchs_blocks():
    """Have the network compute with torch's own layers where ours are quicker ways to the same numbers."""
    from rupantara.models import blocks, placement

    def attend(self, x):
        q, k, v = self.qkv(self.norm(x)).flatten(2).transpose(1, 2).unsqueeze(1).chunk(3, dim=-1)
        seen = F.scaled_dot_product_attention(q.contiguous(), k.contiguous(), v.contiguous())[:, 0]
        return x + self.out(seen.transpose(1, 2).reshape(x.shape))

    blocks.Upsample.forward = lambda self, x: self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
    blocks.SelfAttention.forward = attend
    blocks.PixelShuffle.forward = lambda self, x: F.pixel_shuffle(x, self.factor).float()
    blocks.PixelUnshuffle.forward = lambda self, x: F.pixel_unshuffle(x, self.factor)
    placement.resize = partial(F.interpolate, mode="bilinear", align_corners=False)


def rows_of(number, size, name):
    """Return faces of noise, as the training stream has them."""
    from rupantara.training.region_vae_task import blank_rows

    rows = dict(blank_rows(number, size, name))
    rows["image"] = np.random.default_rng(0).integers(0, 255, rows["image"].shape).astype(np.uint8)
    return rows


def faces_of(steps, size):
    """Return an epoch's faces of each stream."""
    return {name: rows_of(batch * steps, size, name) for name, batch in BATCH.items()}


def turns(size, side, threads):
    """Yield the seconds of each step of a loop whose batches lie in memory, after a warm-up."""
    if side == "fp32_torch":
        with_torchs_blocks()
    torch.set_num_threads(threads)
    task, kept = make_task(size, side.startswith("fp32"), torch.device("cpu")), 10
    modules, rows = task.modules(), faces_of(kept, size)
    for step in count(-WARM_UP):
        at = step % kept
        batch = {n: {k: v[at * b : (at + 1) * b] for k, v in rows[n].items()} for n, b in BATCH.items()}
        started = time.perf_counter()
        task.step(modules, batch, 100_000)
        if step >= 0:
            yield time.perf_counter() - started


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
    """Return the mean seconds of a step in the second epoch of jobs.runtime.training's loop, as the jobs run it."""
    import ray.data

    from jobs.runtime import cli
    from jobs.runtime.training.fit import fit
    from jobs.runtime.training.flags import TrainingFlags
    from jobs.runtime.training.loop import WorkerPlan
    from jobs.runtime.training.room import Room

    cli.connect()
    datasets = {}
    for name, columns in rows.items():
        items = [{k: v[i] for k, v in columns.items()} for i in range(len(columns["image"]))]
        # Blocks of some hundred faces, as decoding leaves them.
        datasets[name] = ray.data.from_items(items, override_num_blocks=1 + len(items) // 256).materialize()
    with tempfile.TemporaryDirectory() as folder:
        faces = {name: len(columns["image"]) for name, columns in rows.items()}
        plan = WorkerPlan(make, BATCH, faces, (), 2, steps, 0, threads, folder)
        result = fit(TrainingFlags(workers=1), plan, datasets, "bench", Room(1.0, 0.0))
        ray.shutdown()
        return result.return_value["seconds"] / steps


def apart(module, *arguments, python=sys.executable, environment=None):
    """Run one measurement in a process of its own and return the number that its last line is."""
    command = [str(python), "-m", module, *map(str, arguments)]
    done = subprocess.run(command, env=os.environ | (environment or {}), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr[-4000:]}")
    return float(done.stdout.splitlines()[-1])


STEPS_A_TURN = 2


@contextlib.contextmanager
def loop(side, size, threads):
    """Run a plain loop in a process of its own; gives a function that has it take a turn and returns the seconds of a step."""
    command = [sys.executable, "-m", "benchmarks.train_step", "--side", side, "--turns", "--size", str(size)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([*command, "--threads", str(threads)], env=os.environ | SIDES[side], **pipes) as process:

        def turn():
            print(file=process.stdin, flush=True)
            return float(process.stdout.readline())

        turn()
        try:
            yield turn
        finally:
            process.stdin.close()


def in_turns(size, threads, rounds):
    """Return each plain side's seconds of a step, turn for turn."""
    with contextlib.ExitStack() as stack:
        loops = {side: stack.enter_context(loop(side, size, threads)) for side in SIDES if side != "ray"}
        found = {side: [] for side in loops}
        for _ in range(rounds):
            for side, turn in loops.items():
                found[side].append(turn())
    return found


def write(path, result):
    """Keep one result a size, number of threads and kind of processor."""
    found = json.loads(path.read_text()) if path.exists() else {}
    name = f"{result['size']} px, threads {result['threads']}{', AMX' if result['amx'] else ''}"
    path.write_text(json.dumps(found | {name: result}, indent=1) + "\n")


def parser_of(description):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--threads", type=int, default=0, help="torch threads of every side (0 = all)")
    parser.add_argument("--side", default="", help="measure only this side, in this process, and print its number")
    return parser


SIDES = {"plain": MALLOC, "ray": {}, "fp32": {}, "fp32_torch": {}}
"""Each side's environment; Ray Train gives its worker the same as `plain` has, the defaults have their own allocator."""


def measure(side, size, steps, threads):
    """Return one side's seconds a step."""
    if side == "ray":
        return under_ray(faces_of(steps, size), steps, threads, partial(make_unvalidated, size, False))
    return statistics.mean(islice(turns(size, side, threads), steps))


def median_ratio(slower, faster):
    return round(statistics.median(a / b for a, b in zip(slower, faster, strict=True)), 2)


def main():
    parser = parser_of(__doc__)
    parser.add_argument("--rounds", type=int, default=1, help="times that Ray's loop is measured between the plain one")
    parser.add_argument("--turns", action="store_true", help="take a turn for each line of standard input")
    args = parser.parse_args()
    threads = args.threads or os.cpu_count() or 1
    if args.turns:
        seconds = turns(args.size, args.side, threads)
        for _ in sys.stdin:
            print(statistics.mean(islice(seconds, STEPS_A_TURN)), flush=True)
        return
    if args.side:
        print(measure(args.side, args.size, args.steps, threads))
        return
    alone = {side: [] for side in ("plain", "ray")}
    for side in ["plain", *["ray", "plain"] * args.rounds]:
        settings = ["--size", args.size, "--steps", args.steps, "--threads", threads]
        alone[side].append(apart("benchmarks.train_step", "--side", side, *settings, environment=SIDES[side]))
    found = in_turns(args.size, threads, max(1, args.steps // STEPS_A_TURN))
    around = [(before + after) / 2 for before, after in pairwise(alone["plain"])]
    shares = [round(plain / ray, 3) for plain, ray in zip(around, alone["ray"], strict=True)]
    result = {
        "size": args.size,
        "batch": sum(BATCH.values()),
        "steps": args.steps,
        "threads": threads,
        "amx": torch.cpu.get_capabilities().get("amx_bf16", False),
        **{f"{side}_s_per_step": [round(s, 4) for s in seconds] for side, seconds in alone.items()},
        "ray_train_over_plain": shares,
        **{f"{side}_s_per_step_in_turns": round(statistics.median(seconds), 4) for side, seconds in found.items()},
        "ours_over_fp32_defaults": median_ratio(found["fp32"], found["plain"]),
        "ours_over_fp32_of_torchs_blocks": median_ratio(found["fp32_torch"], found["plain"]),
    }
    print(json.dumps(result))
    write(Path(__file__).with_name("train_step.json"), result)


if __name__ == "__main__":
    main()
