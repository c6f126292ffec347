"""The training step inside Ray Train against a plain loop over the same network, batches and settings, in one run.

python -m benchmarks.train_step [--size 128] [--steps 20]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from jobs.cli import MALLOC
from rupantara.landmarks.regions import CANONICAL
from rupantara.models.region_vae import RegionVAE, RegionVAEConfig
from rupantara.synthetic import SPECIES
from rupantara.training.region_vae import FaceBatch, Objective, TrainState, train_step

WARM_UP = 5
BATCH = {"human": 10, "animal": 6}


def random_rows(count, size, domain):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (count, size, size, 3)).astype(np.uint8)
    boxes = np.repeat(np.array(CANONICAL[domain], np.float32)[None], count, 0)
    return {"image": images, "boxes": boxes, "species": np.zeros(count, np.int64)}


def measure(size, steps, batches, losses_of=None, state=None):
    """Return the median seconds of a step, fetching its batches included."""
    seconds = []
    for step in range(WARM_UP + steps):
        started = time.perf_counter()
        humans, animals = next(batches["human"]), next(batches["animal"])
        train_step(state, Objective(), humans, animals, 100_000, losses_of)
        if step >= WARM_UP:
            seconds.append(time.perf_counter() - started)
    return float(np.median(seconds))


def new_state(size):
    torch.manual_seed(0)
    return TrainState.create(
        RegionVAE(RegionVAEConfig(size=size, region_side=size * 3 // 8, species=SPECIES)), Objective()
    )


def plain(size, steps):
    """Time a plain loop whose batches lie in memory."""
    from rupantara.stages.faces import to_images

    torch.set_num_threads(os.cpu_count() or 1)

    def endless(domain):
        rows = random_rows(BATCH[domain] * 4, size, domain)
        while True:
            for i in range(0, len(rows["image"]), BATCH[domain]):
                part = {k: v[i : i + BATCH[domain]] for k, v in rows.items()}
                yield FaceBatch(to_images(part["image"]), torch.tensor(part["boxes"]), torch.tensor(part["species"]))

    return measure(size, steps, {d: endless(d) for d in BATCH}, state=new_state(size))


def train_fn(arguments):
    """Time the same loop on a Ray Train worker, batches from Ray Data shards."""
    import ray.train
    import ray.train.torch

    from jobs.train_worker import Losses, as_faces

    torch.set_num_threads(os.cpu_count() or 1)
    size, steps = arguments["size"], arguments["steps"]
    state = new_state(size)
    losses = ray.train.torch.prepare_model(Losses(state.model, Objective()), move_to_device=False)

    def endless(domain):
        while True:
            stream = ray.train.get_dataset_shard(domain).iter_batches(
                batch_size=BATCH[domain], drop_last=True, local_shuffle_buffer_size=64, local_shuffle_seed=0
            )
            for batch in stream:
                yield as_faces(batch, torch.device("cpu"))

    return {"seconds": measure(size, steps, {d: endless(d) for d in BATCH}, losses, state)}


def under_ray(size, steps):
    import ray
    import ray.train
    from ray.train.torch import TorchTrainer

    from jobs import cli

    cli.connect()
    count = WARM_UP + steps + 2
    rows = {d: random_rows(BATCH[d] * count, size, d) for d in BATCH}
    datasets = {
        d: ray.data.from_items([{k: v[i] for k, v in rows[d].items()} for i in range(BATCH[d] * count)]).materialize()
        for d in BATCH
    }
    with tempfile.TemporaryDirectory() as folder:
        result = TorchTrainer(
            train_fn,
            train_loop_config={"size": size, "steps": steps},
            datasets=datasets,
            scaling_config=ray.train.ScalingConfig(num_workers=1, resources_per_worker={"CPU": 1}),
            run_config=ray.train.RunConfig(name="bench", storage_path=folder, worker_runtime_env={"env_vars": MALLOC}),
        ).fit()
        ray.shutdown()
        return result.return_value["seconds"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--plain", action="store_true", help="only the plain loop, in this process")
    args = parser.parse_args()
    if args.plain:
        print(plain(args.size, args.steps))
        return
    # The plain loop runs in a process of its own, with the same allocator settings, before and after: the machine drifts.
    command = [
        sys.executable,
        "-m",
        "benchmarks.train_step",
        "--plain",
        "--size",
        str(args.size),
        "--steps",
        str(args.steps),
    ]

    def run():
        return float(
            subprocess.run(command, env=os.environ | MALLOC, capture_output=True, text=True, check=True).stdout
        )

    before, ray_s, after = run(), under_ray(args.size, args.steps), run()
    plain_s = (before + after) / 2
    result = {
        "size": args.size,
        "batch": sum(BATCH.values()),
        "plain_s_per_step": [round(before, 3), round(after, 3)],
        "ray_train_s_per_step": round(ray_s, 3),
        "ratio_of_speed": round(plain_s / ray_s, 3),
    }
    print(json.dumps(result))
    Path(__file__).with_name("train_step.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
