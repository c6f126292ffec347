"""Ray Train on the region VAE, with one worker and with two by gloo: workers agree, and a failed training goes on to the bit."""

import hashlib
import json
import logging
import sys
from collections import defaultdict
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import ray.train
import torch
from ray import cloudpickle

from jobs.runtime.training.data import lay_out
from jobs.runtime.training.fit import fit
from jobs.runtime.training.flags import TrainingFlags
from jobs.runtime.training.loop import WorkerPlan
from jobs.runtime.training.room import Room
from rupantara.training.face_rows import face_streams
from rupantara.training.region_vae import Networks, RegionVAEObjective
from rupantara.training.region_vae_task import DOMAINS, RegionVAETask
from rupantara.training.task import Rows
from tests.drawn import CONFIG, SIDE, face_row, write_faces

BATCH, STEPS, EPOCHS, HUMANS = 2, 3, 2, 12
OBJECTIVE = RegionVAEObjective(bfloat16=False, adversarial_weight=0.01, adversarial_start=0.2, symmetry_weight=0.1)


class Watched(RegionVAETask):
    """Leaves what each worker did in each step, and fails once, in the last step of the last epoch."""

    folder = Path()

    def step(
        self, modules: Mapping[str, torch.nn.Module], batches: Mapping[str, Rows], total_images: int
    ) -> dict[str, torch.Tensor]:
        losses = super().step(modules, batches, total_images)
        rank = ray.train.get_context().get_world_rank()
        done = {"step": self.state.step, "weights": digest(self.state.state_dict()), "loss": float(losses["loss"])}
        done["rows"] = hashlib.sha256(b"".join(np.ascontiguousarray(batches[d]["image"]) for d in DOMAINS)).hexdigest()
        with (self.folder / f"{rank}.jsonl").open("a") as file:
            file.write(json.dumps(done) + "\n")
        failed = self.folder / f"failed-{rank}"
        if self.state.step == EPOCHS * STEPS and not failed.exists():
            failed.touch()
            if torch.distributed.is_initialized():
                torch.distributed.barrier()
            raise RuntimeError("as if the machine had gone")
        return losses


def digest(state: object) -> str:
    """Hash every tensor of a training state, the optimisers' among them."""
    found = hashlib.sha256()

    def add(part: object) -> None:
        if isinstance(part, torch.Tensor):
            found.update(part.detach().numpy().tobytes())
        elif isinstance(part, dict):
            for name, value in part.items():
                found.update(str(name).encode())
                add(value)
        elif isinstance(part, (list, tuple)):
            for value in part:
                add(value)

    add(state)
    return found.hexdigest()


def make(folder: Path, device: torch.device) -> Watched:
    task = Watched(CONFIG, OBJECTIVE, Networks(), None, device)
    task.folder = folder
    return task


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_agree_in_every_step_and_a_failed_epoch_is_done_again_to_the_bit(
    ray_cluster, tmp_path, caplog, workers: int
) -> None:
    rows = [face_row(f"h{i}", "human", i) for i in range(HUMANS)] + [face_row("vh", "human", 20, "val")]
    rows += [face_row(f"{s}{i}", s, i) for s in ("cat", "dog") for i in range(6)] + [face_row("vc", "cat", 20, "val")]
    faces = write_faces(str(tmp_path / "faces"), rows)
    least = dict.fromkeys(DOMAINS, BATCH * workers)
    described = face_streams(faces, "", SIDE, least, most=0, most_validation=0, seed=0)
    held = {f"val_{name}": stream for name, stream in described.validation.items()}
    streams = lay_out(described.train | held, described.train, 0)
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    plan = WorkerPlan(
        start=partial(make, tmp_path),
        batch=dict.fromkeys(DOMAINS, BATCH),
        rows=dict.fromkeys(DOMAINS, HUMANS // workers),
        validation=DOMAINS,
        epochs=EPOCHS,
        steps_per_epoch=STEPS,
        seed=0,
        threads=1,
        output=str(tmp_path / "out"),
        workers=workers,
    )
    flags, room = TrainingFlags(workers=workers, max_failures=1), Room(0.5, 0.0)
    result = fit(flags, plan, streams, "f" * 64, room)
    logs = [
        [json.loads(line) for line in (tmp_path / f"{rank}.jsonl").read_text().splitlines()] for rank in range(workers)
    ]
    for log in logs:
        by_step = defaultdict(list)
        for done in log:
            by_step[done.pop("step")].append(done)
        # The first epoch was saved, the second failed at its end and was done again from there.
        assert [len(by_step[step]) for step in range(1, 2 * STEPS + 1)] == [1] * STEPS + [2] * STEPS
        assert all(first == again for first, again in list(by_step.values())[STEPS:])
        assert len({part[0]["weights"] for part in by_step.values()}) == EPOCHS * STEPS, "every step moves the weights"
    assert all(one["weights"] == other["weights"] for one, other in zip(logs[0], logs[-1], strict=True))
    if workers > 1:
        assert not {done["rows"] for done in logs[0]} & {done["rows"] for done in logs[1]}, "each has rows of its own"
        assert all(one["loss"] != other["loss"] for one, other in zip(*logs, strict=True))
    with result.checkpoint.as_directory() as folder:
        saved = torch.load(Path(folder, "state.pt"), weights_only=True)
    assert digest(saved["state"]) == logs[0][-1]["weights"]
    assert [row["images"] for row in saved["history"]] == [2 * BATCH * workers * STEPS * n for n in (1, 2)]
    # Nothing is left to train: the second driver resumes from the last epoch, and says so.
    with caplog.at_level(logging.INFO, "jobs"):
        again = fit(flags, plan, streams, "f" * 64, room)
    assert f"going on after epoch {EPOCHS} of {EPOCHS}" in caplog.text
    assert again.return_value == saved["history"][-1]
