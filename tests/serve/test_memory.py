"""Freed memory goes back to the system after a large body, and only then."""

import asyncio
import ctypes
import gc
import os
import weakref
from pathlib import Path

import pytest

from serve.memory import LARGE_BYTES, Returner
from serve.outcome import Outcome
from serve.problems import Problem

BLOCK, BLOCKS = 100_000, 2_000


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="glibc alone keeps freed memory like this")
def test_freed_memory_goes_back_after_a_large_body():
    async def freed_after(num_bytes: int) -> int:
        blocks = [bytes([i % 256]) * BLOCK for i in range(BLOCKS)]
        # The last stays: without it glibc would give back what lies below it by itself.
        last = blocks.pop()
        before = resident_bytes()
        blocks.clear()
        Returner(0.0).after(num_bytes)
        await asyncio.sleep(0.5)
        assert len(last) == BLOCK
        return before - resident_bytes()

    assert asyncio.run(freed_after(LARGE_BYTES)) > BLOCK * BLOCKS / 2
    assert asyncio.run(freed_after(LARGE_BYTES - 1)) < BLOCK * BLOCKS / 2


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
