"""Every job, killed with SIGKILL in the middle and started again, ends with the rows of an unbroken run.

Long: `make chaos`. The short form, curate alone, is in test_command_line.py.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rupantara.storage import manifest, tables

REPOSITORY = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]


def command(name: str, run: Path, out: Path) -> list[str]:
    flags = {
        "curate": ["--photos", run / "photos", "--faces", out, "--part-photos", "16"],
        "train_vae": ["--preset", "smoke", "--epochs", "3", "--faces", run / "faces", "--checkpoint", out],
        "extract": [
            *("--faces", run / "faces", "--checkpoint", run / "checkpoint", "--features", out),
            *("--extractors", "region_vae", "texture:size=64", "crop:size=64"),
        ],
        "train_decoder": [
            *("--preset", "smoke", "--epochs", "3", "--vector", "global_mu", "--parts", "texture"),
            *("--features", run / "features", "--checkpoint", out),
        ],
        "train_blender": [
            *("--preset", "smoke", "--epochs", "3", "--identity-weight", "0", "--parents", "decoded"),
            *("--features", run / "features", "--faces", run / "faces", "--codec", run / "checkpoint"),
            *("--checkpoint", out),
        ],
        "build_bank": ["--features", run / "features", "--bank", out, "--num-shards", "6"],
        "generate": [
            *("--faces", run / "faces", "--checkpoint", run / "checkpoint", "--bank", run / "bank"),
            *("--generated", out, "--split", "", "--limit", "0"),
        ],
        "reverse_map": ["--features", run / "features", "--bank", run / "bank", "--affinity", out],
        "evaluate": ["--faces", run / "faces", "--checkpoint", run / "checkpoint", "--metrics", out],
    }[name]
    return [sys.executable, "-m", f"jobs.{name}", *map(str, flags)]


TABLE = {"train_decoder": "texture"}
"""Where in a job's output the manifest lies, if not at its top."""


def finish(arguments: list[str]) -> str:
    answer = subprocess.run(arguments, cwd=REPOSITORY, capture_output=True, text=True, timeout=600)
    assert answer.returncode == 0, answer.stderr[-3000:]
    return answer.stderr


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A run of its own, with faces in many parts, so that a kill has a middle to hit."""
    root = tmp_path_factory.mktemp("inputs")
    finish([sys.executable, "-m", "jobs.demo", "--preset", "smoke", "--run", str(root)])
    finish(
        [*command("curate", root, root / "faces"), "--overwrite"],
    )
    for name, out in (("train_vae", "checkpoint"), ("extract", "features"), ("build_bank", "bank")):
        finish([*command(name, root, root / out), "--overwrite"])
    return root


@pytest.mark.parametrize(
    "name",
    [
        "curate",
        "train_vae",
        "train_decoder",
        "train_blender",
        "extract",
        "build_bank",
        "generate",
        "reverse_map",
        "evaluate",
    ],
)
def test_killed_and_started_again_it_ends_with_the_same_rows(inputs, tmp_path, name):
    finish(command(name, inputs, tmp_path / "unbroken"))
    out = tmp_path / "killed"
    process = subprocess.Popen(command(name, inputs, out), cwd=REPOSITORY, stderr=subprocess.DEVNULL)
    trains = name.startswith("train")
    middle = "**/_train/*/epoch_0001" if trains else "_parts/part-*"
    deadline = time.monotonic() + 300
    while process.poll() is None and not list(out.glob(middle)) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(5)
    done, kept = (str(folder / TABLE.get(name, "")) for folder in (tmp_path / "unbroken", out))
    assert manifest.read(kept) is None, "killed too late to test anything"
    said = finish(command(name, inputs, out))
    assert "nothing to do" not in said
    first, second = manifest.read(done), manifest.read(kept)
    assert first.fingerprint == second.fingerprint
    assert first.counts == second.counts
    if trains:
        assert first.extra["model_sha256"] == second.extra["model_sha256"]
    else:
        whole, again = (tables.read(str(tmp_path / n), schema=first.schema) for n in ("unbroken", "killed"))
        assert whole.equals(again)
    assert "nothing to do" in finish(command(name, inputs, out))
