"""Command lines: help for every option, one clear line for what is wrong, and the same rows after kill -9."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest

from rupantara.storage import tables
from rupantara.synthetic import write_photographs
from tests import job_pages

REPOSITORY = Path(__file__).resolve().parents[2]
JOBS = (
    "curate",
    "train_vae",
    "extract",
    "build_bank",
    "generate hybrid",
    "generate inversion",
    "generate variation",
    "enhance",
    "reverse_map",
    "evaluate",
    "demo",
)
JOBS += ("train_zoo", "push_to_hub", "train_decoder")


def job(*arguments: str, timeout: int = 300) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=timeout)


@pytest.mark.parametrize("name", JOBS)
def test_help_explains_every_option(name):
    said = job_pages.help_of(*name.split())
    options = [line for line in said.splitlines() if line.startswith(" --")]
    assert len(options) >= 8
    assert f"python -m jobs.{name}" in said
    text = " ".join(said.split())
    assert "--seed INT" in text
    assert "Seed of every random choice" in text


def test_help_names_the_presets_where_there_are_several():
    assert "Presets: default, 112, 112_features, smoke." in job_pages.help_of("train_decoder")
    # In a process of its own, as a user asks.
    answer = job("jobs.evaluate", "--help")
    assert answer.returncode == 0
    assert "python -m jobs.evaluate" in answer.stdout
    assert "Presets:" not in answer.stdout


def test_wrong_options_are_usage_errors_without_a_traceback():
    for arguments in (["--nonsense", "1"], ["--preset", "huge"], ["--photos"]):
        answer = job("jobs.curate", *arguments)
        assert answer.returncode == 2, arguments
        assert answer.stderr.startswith("error: ")
        assert len(answer.stderr.strip().splitlines()) == 1


def test_missing_input_is_one_line(tmp_path):
    answer = job("jobs.curate", "--photos", str(tmp_path / "none"), "--faces", str(tmp_path / "faces"))
    assert answer.returncode == 1
    assert answer.stderr.strip().splitlines() == [
        f"error: --photos must be a folder that exists, got '{tmp_path / 'none'}'"
    ]


def rows_of(uri: Path) -> pa.Table:
    return tables.read(str(uri), schema="faces").sort_by("face_id")


@pytest.mark.timeout(900)
def test_a_job_killed_in_the_middle_ends_with_the_same_rows(tmp_path):
    photos = tmp_path / "photos"

    def write(path: str, data: bytes) -> None:
        (photos / path).parent.mkdir(parents=True, exist_ok=True)
        (photos / path).write_bytes(data)

    write_photographs(write, humans=30, per_species=5)
    command = ["jobs.curate", "--photos", str(photos), "--part-photos", "4", "--workers", "1"]
    assert job(*command, "--faces", str(tmp_path / "unbroken")).returncode == 0
    killed = tmp_path / "killed"
    process = subprocess.Popen(
        [sys.executable, "-m", *command, "--faces", str(killed)], cwd=REPOSITORY, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while not list(killed.glob("_parts/part-*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    # The killed driver's workers may still finish what they had begun.
    time.sleep(2)
    assert not (killed / "manifest.json").exists(), "killed too late to test anything"
    again = job(*command, "--faces", str(killed))
    assert again.returncode == 0, again.stderr
    assert "resuming" in again.stderr
    assert " parts to make\n" in again.stderr
    assert "Set ray log level" not in again.stderr
    assert rows_of(killed).drop_columns(["uri"]).equals(rows_of(tmp_path / "unbroken").drop_columns(["uri"]))
    third = job(*command, "--faces", str(killed))
    assert "nothing to do" in third.stderr
    fourth = job(*command, "--faces", str(killed), "--max-yaw", "10")
    assert fourth.returncode == 1
    assert "config.max_yaw: 60.0 -> 10.0" in fourth.stderr
