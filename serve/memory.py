"""Memory back to the system after large uploads: circles of frames and errors keep bodies until the collector comes, and glibc keeps
what was freed, in an arena a thread, for the next upload."""

import asyncio
import ctypes
import gc
from collections.abc import Callable

LARGE_BYTES = 2**20
"""Of a body: below this nothing is worth a walk through the heap."""
DELAY_S = 1.0


class Returner:
    """Gives freed memory back some time after a large body, once for many of them."""

    def __init__(self, delay_s: float = DELAY_S) -> None:
        """Find glibc's function; another C library is left alone."""
        self._trim: Callable[[int], object] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
        self._delay_s, self._due = delay_s, False

    def after(self, num_bytes: int) -> None:
        """Plan it after a body of so many bytes; to be called in an event loop."""
        if num_bytes >= LARGE_BYTES and not self._due:
            self._due = True
            asyncio.get_running_loop().call_later(self._delay_s, self._give_back)

    def _give_back(self) -> None:
        self._due = False
        asyncio.get_running_loop().run_in_executor(None, self._collect_and_trim)

    def _collect_and_trim(self) -> None:
        gc.collect()
        if self._trim is not None:
            self._trim(0)
