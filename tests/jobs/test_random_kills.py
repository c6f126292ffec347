"""SIGKILL at random times, of the driver, of a worker, of a whole node: the rows are those of an unbroken run.

Two rounds in the suite, twenty with `make chaos`.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster

from rupantara.storage import manifest, tables
from rupantara.synthetic import write_photographs
from tests.conftest import REPOSITORY

VICTIMS = ("driver", "worker", "raylet")
ROUNDS = 20
PARTS = 48


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kills") / "photos"

    def put(path: str, data: bytes) -> None:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)

    write_photographs(put, humans=24, per_species=6)
    return folder


def command(photos: Path, faces: Path) -> list[str]:
    flags = ["--photos", photos, "--faces", faces, "--part-photos", "2", "--workers", "2", "--cpus-per-worker", "1"]
    return [sys.executable, "-m", "jobs.curate", *map(str, flags)]


@pytest.fixture(scope="module")
def unbroken(photos: Path) -> Path:
    faces = photos.parent / "unbroken"
    done = subprocess.run(command(photos, faces), cwd=REPOSITORY, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(list((faces / "data").iterdir())) == PARTS
    return faces


@pytest.fixture(scope="module")
def head() -> Iterator[Cluster]:
    """A head without work."""
    fast = {"health_check_period_ms": 500, "health_check_failure_threshold": 3, "health_check_initial_delay_ms": 500}
    first = {"num_cpus": 0, "object_store_memory": 150 * 2**20, "_system_config": fast, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args=first)
    try:
        yield made
    finally:
        made.shutdown()


@pytest.fixture
def cluster(head: Cluster) -> Cluster:
    """The head and two nodes, one of which may die; what died in the test before is replaced."""
    for _ in range(2 - len(head.worker_nodes)):
        head.add_node(num_cpus=2, object_store_memory=150 * 2**20)
    head.wait_for_nodes(60)
    return head


def started(faces: Path, parts: int, process: subprocess.Popen[str]) -> None:
    """Wait until some parts are written."""
    deadline = time.monotonic() + 120
    while len(list(faces.glob("_parts/part-*"))) < parts and process.poll() is None:
        assert time.monotonic() < deadline, "no part was written in two minutes"
        time.sleep(0.01)


def workers_of(cluster: Cluster) -> list[int]:
    """Find the processes that run parts on this cluster: by title, and by the session whose logs they write."""
    session = cluster.head_node.get_session_dir_path()
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                logs = {os.readlink(fd) for fd in (folder / "fd").iterdir() if fd.name in ("1", "2")}
                if b"PartWorker" in (folder / "cmdline").read_bytes() and any(log.startswith(session) for log in logs):
                    found.append(int(folder.name))
    return found


def strike(victim: str, process: subprocess.Popen[str], cluster: Cluster, chance: random.Random) -> None:
    if victim == "driver":
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    elif victim == "worker":
        os.kill(chance.choice(workers_of(cluster)), signal.SIGKILL)
    else:
        cluster.remove_node(chance.choice(sorted(cluster.worker_nodes, key=str)), allow_graceful=False)


def survive(victim: str, seed: int, photos: Path, faces: Path, cluster: Cluster) -> str:
    """Run curate on the cluster, strike at a random time, and run it again until it is complete; return what it said."""
    chance = random.Random(seed)
    environment = {**os.environ, "RAY_ADDRESS": cluster.address}
    options = {"cwd": REPOSITORY, "env": environment, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command(photos, faces), **options)
    started(faces, chance.randrange(1, PARTS // 3), process)
    time.sleep(chance.uniform(0, 0.5))
    assert manifest.read(str(faces)) is None, "struck too late to test anything"
    strike(victim, process, cluster, chance)
    said = process.communicate(timeout=240)[1]
    if process.returncode:
        again = subprocess.run(command(photos, faces), **options, timeout=240)
        said += again.stderr
        assert again.returncode == 0, said[-3000:]
    return said


def check(faces: Path, unbroken: Path) -> None:
    whole, again = (tables.read(str(place), schema="faces") for place in (unbroken, faces))
    assert whole.equals(again)
    assert manifest.read(str(faces)).counts == manifest.read(str(unbroken)).counts


@pytest.mark.timeout(600)
@pytest.mark.parametrize("victim", ["worker", "raylet"])
def test_a_death_on_the_cluster_changes_no_row(victim, photos, unbroken, cluster, tmp_path) -> None:
    survive(victim, 7, photos, tmp_path / "faces", cluster)
    check(tmp_path / "faces", unbroken)


@pytest.mark.chaos
@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", range(ROUNDS))
def test_random_deaths_change_no_row(number, photos, unbroken, cluster, tmp_path) -> None:
    survive(VICTIMS[number % len(VICTIMS)], number, photos, tmp_path / "faces", cluster)
    check(tmp_path / "faces", unbroken)
