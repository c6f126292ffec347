"""Images a second of pythae's own trainer against ours: one network, one sum of losses, the same faces, one run on this CPU.

    python -m benchmarks.pythae_trainer [--size 256] [--steps 40] [--rounds 1] [--threads 0] [--venv FOLDER]

Ours is jobs.runtime.training's loop under Ray Train, as jobs.train_vae starts it; theirs is pythae's BaseTrainer with the defaults that
a user gets: fp32 (its `amp` is for CUDA only), torch's Adam, a DataLoader over tensors in memory, the machine's own allocator. Both
mirror faces and swap regions alike. Ours runs before and after theirs, each in a process of its own, its second epoch timed.
pythae lives in an environment of its own (`--venv`; made anew in a temporary folder without it), never in the project's.
"""

import argparse
import contextlib
import json
import os
import platform
import subprocess
import tempfile
import time
import venv
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

REQUIREMENTS = ("pythae==0.1.2", "torch==2.13.0", "jaxtyping")
"""jaxtyping is the network's, for its shapes; pythae needs no more than pip brings."""
REPOSITORY = Path(__file__).resolve().parent.parent
DIFFERENCES = (
    "ours: bfloat16 autocast; theirs: fp32",
    "ours: fused AdamW, gradient clipping, cosine schedule, average of the weights; theirs: Adam (foreach), none of these",
    "ours: freed buffers are kept (MALLOC_…); theirs: the allocator's defaults",
    "ours: uint8 pictures from Ray Data, Ray's processes on the same cores; theirs: float tensors in the trainer's own memory",
    "ours: 10 humans and 6 animals a batch; theirs: 16 of both as its loader shuffles them",
)


def wrapped(config, objective, columns):
    """Return our network and losses as a pythae model; an image's label is its row in `columns`."""
    from pythae.models import BaseAE, BaseAEConfig
    from pythae.models.base.base_utils import ModelOutput

    from rupantara.models.region_vae import RegionVAE
    from rupantara.training.composite_targets import Points
    from rupantara.training.region_vae import FaceBatch, Networks, RegionVAELosses, augment

    class Wrapped(BaseAE):
        def __init__(self):
            torch.nn.Module.__init__(self)
            self.model_name, self.model_config = "RegionVAE", BaseAEConfig(input_dim=(3, config.size, config.size))
            self.losses, self.seen = RegionVAELosses(RegionVAE(config), objective, Networks()), 0

        def forward(self, inputs, **_):
            rows = inputs["labels"].long()
            of_rows = (columns[name][rows] for name in ("boxes", "species", "keypoints", "yaw"))
            unknown = Points(*(torch.full((len(rows), k, 2), torch.nan) for k in (68, 6)))
            faces = FaceBatch(inputs["data"], *of_rows, unknown)
            # Each domain's loss is a mean over its faces, so there has to be one.
            order = faces.species.argsort(stable=True)
            humans = min(max(int((faces.species == 0).sum()), 1), len(rows) - 1)
            parts = (augment(faces.take(at)) for at in (order[:humans], order[humans:]))
            found = self.losses(*parts, self.seen, False)
            self.seen += len(rows)
            return ModelOutput(loss=found.losses["loss"], recon_x=found.made)

        def save(self, _):
            """Save nothing: the last epoch's end is not timed."""

    return Wrapped()


def theirs(folder, steps, threads):
    """Return the images a second of the second epoch of pythae's trainer."""
    import pythae.trainers
    from pythae.data.datasets import BaseDataset
    from pythae.trainers.training_callbacks import TrainingCallback

    from rupantara.models.region_vae import RegionVAEConfig
    from rupantara.training.region_vae import RegionVAEObjective

    class Clock(TrainingCallback):
        def on_train_step_begin(self, *_, **__):
            self.began = time.perf_counter()

        def on_train_step_end(self, *_, **__):
            self.ended = time.perf_counter()

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    data, settings = np.load(Path(folder, "faces.npz")), json.loads(Path(folder, "settings.json").read_text())
    sizes = {k: tuple(v) if isinstance(v, list) else v for k, v in settings["model"].items()}
    columns = {name: torch.from_numpy(data[name]) for name in data.files}
    images = columns.pop("image").permute(0, 3, 1, 2).contiguous().float().div_(127.5).sub_(1)
    model = wrapped(RegionVAEConfig(**sizes), RegionVAEObjective(**settings["objective"]), columns)
    config = pythae.trainers.BaseTrainerConfig(
        output_dir=folder, num_epochs=2, per_device_train_batch_size=len(images) // steps
    )
    clock, dataset = Clock(), BaseDataset(images, torch.arange(len(images)))
    trainer = pythae.trainers.BaseTrainer(model, dataset, training_config=config, callbacks=[clock])
    trainer.train()
    return len(images) / (clock.ended - clock.began)


def prepare(folder, size, steps):
    """Write the faces, the network's sizes and the objective for the process that has pythae."""
    from benchmarks.train_step import config_of, faces_of
    from rupantara.training.region_vae import RegionVAEObjective

    streams = faces_of(steps, size).values()
    np.savez(Path(folder, "faces.npz"), **{n: np.concatenate([s[n] for s in streams]) for n in next(iter(streams))})
    settings = {"model": asdict(config_of(size)), "objective": asdict(RegionVAEObjective(bfloat16=False))}
    Path(folder, "settings.json").write_text(json.dumps(settings))


def install(folder):
    """Make the environment that pythae lives in, unless it is there, and return its Python."""
    python = Path(folder, "bin", "python")
    if not python.exists():
        venv.create(folder, with_pip=True)
    found = subprocess.run([str(python), "-c", "import pythae.trainers, jaxtyping"], capture_output=True, check=False)
    if found.returncode:
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *REQUIREMENTS], check=True)
    return python


def versions(python):
    """Return the versions in pythae's environment and in ours."""
    code = "import importlib.metadata as m, json; print(json.dumps({n: m.version(n) for n in ('pythae', 'torch', 'numpy')}))"
    out = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True).stdout
    import ray

    ours = {"torch": torch.__version__, "numpy": np.__version__, "ray": ray.__version__}
    return {"theirs": json.loads(out), "ours": ours, "python": platform.python_version()}


def compare(args, threads):
    """Run ours, theirs, ours and so on, and return the result."""
    from benchmarks.train_step import BATCH, apart

    batch, found = sum(BATCH.values()), {"ours": [], "theirs": []}
    with contextlib.ExitStack() as stack:
        python = install(args.venv or stack.enter_context(tempfile.TemporaryDirectory(prefix="pythae-")))
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        prepare(folder, args.size, args.steps)
        settings = ["--size", args.size, "--steps", args.steps, "--threads", threads]
        for side in ["ours", *["theirs", "ours"] * args.rounds]:
            if side == "ours":
                found[side].append(batch / apart("benchmarks.train_step", "--side", "ray", *settings))
            else:
                environment = {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": str(threads)}
                arguments = ["--side", "theirs", "--folder", folder, *settings]
                speed = apart("benchmarks.pythae_trainer", *arguments, python=python, environment=environment)
                found[side].append(speed)
        mean = {side: sum(speeds) / len(speeds) for side, speeds in found.items()}
        return {
            "size": args.size,
            "batch": batch,
            "steps": args.steps,
            "threads": threads,
            "amx": torch.cpu.get_capabilities().get("amx_bf16", False),
            **{f"{side}_images_per_s": [round(speed, 3) for speed in speeds] for side, speeds in found.items()},
            "ours_over_theirs": round(mean["ours"] / mean["theirs"], 3),
            "versions": versions(python),
            "differences": DIFFERENCES,
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=1, help="times that theirs is measured between ours")
    parser.add_argument("--threads", type=int, default=0, help="torch threads of both (0 = all)")
    parser.add_argument("--venv", default="", help="folder of pythae's environment, made if it is not there")
    parser.add_argument("--side", default="", help="`theirs`: measure it in this process, on --folder's faces")
    parser.add_argument("--folder", default="")
    args = parser.parse_args()
    threads = args.threads or os.cpu_count() or 1
    if args.side:
        print(theirs(args.folder, args.steps, threads))
        return
    result = compare(args, threads)
    print(json.dumps(result))
    from benchmarks.train_step import write

    write(Path(__file__).with_suffix(".json"), result)


if __name__ == "__main__":
    main()
