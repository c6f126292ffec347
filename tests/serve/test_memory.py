"""Freed memory goes back to the system after a large body, and only then."""

import ctypes
import gc
import subprocess
import sys
import weakref

import pytest

from serve.memory import LARGE_BYTES
from serve.outcome import Outcome
from serve.problems import Problem
from tests.conftest import REPOSITORY

BLOCK, BLOCKS = 100_000, 2_000

PROGRAM = f"""
import asyncio, os, time
from pathlib import Path
from serve.memory import Returner

def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

async def freed_after(num_bytes, wait_s):
    blocks = [bytes([i % 256]) * {BLOCK} for i in range({BLOCKS})]
    last = blocks.pop()  # Without it glibc would give back what lies below it by itself.
    before = resident_bytes()
    blocks.clear()
    Returner(0.0).after(num_bytes)
    end = time.monotonic() + wait_s
    while time.monotonic() < end and before - resident_bytes() < {BLOCK * BLOCKS // 2}:
        await asyncio.sleep(0.05)
    assert len(last) == {BLOCK}
    return before - resident_bytes()

print(asyncio.run(freed_after(NUM_BYTES, WAIT_S)))
"""


def freed_after(num_bytes: int, wait_s: float) -> int:
    """Return the bytes that go back after a body of so many, in a process of its own, whose heap no other test has shaped."""
    program = PROGRAM.replace("NUM_BYTES", str(num_bytes)).replace("WAIT_S", str(wait_s))
    out = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return int(out.stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="glibc alone keeps freed memory like this")
def test_freed_memory_goes_back_after_a_large_body():
    assert freed_after(LARGE_BYTES, 60) > BLOCK * BLOCKS / 2
    assert freed_after(LARGE_BYTES - 1, 1) < BLOCK * BLOCKS / 2


class Upload:
    pass


def test_what_a_refused_request_held_is_let_go_without_the_collector():
    def refused() -> weakref.ref:
        upload = Upload()
        try:
            Outcome(problem=Problem("no_usable_face", "no face was found in the picture")).unwrap({})
        except Problem:
            return weakref.ref(upload)
        raise AssertionError

    gc.disable()
    try:
        assert refused()() is None
    finally:
        gc.enable()
