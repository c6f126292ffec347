"""Memory back to the system after large uploads: glibc keeps freed blocks, in an arena a thread, for the next upload."""

import asyncio
import ctypes
from collections.abc import Callable

LARGE_BYTES = 2**20
"""Of a body: below this nothing is worth a walk through the heap."""
DELAY_S = 1.0


class Returner:
    """Gives freed memory back some time after a large body, once for many of them."""

    def __init__(self, delay_s: float = DELAY_S) -> None:
        """Find glibc's function; with another C library nothing is done."""
        self._trim: Callable[[int], object] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
        self._delay_s, self._due = delay_s, False

    def after(self, num_bytes: int) -> None:
        """Plan it after a body of so many bytes; to be called in an event loop."""
        if num_bytes >= LARGE_BYTES and self._trim is not None and not self._due:
            self._due = True
            asyncio.get_running_loop().call_later(self._delay_s, self._give_back)

    def _give_back(self) -> None:
        self._due = False
        # In a thread: some milliseconds, in which the event loop goes on.
        if self._trim is not None:
            asyncio.get_running_loop().run_in_executor(None, self._trim, 0)
