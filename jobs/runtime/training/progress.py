"""What a training says while it runs: workers leave it beside the checkpoint, and the driver, wherever it is, repeats it."""

import contextlib
import json
import logging
import threading
import time
from collections.abc import Generator

from torch import Tensor

from jobs.runtime.training.logs import LOG
from rupantara.storage import uris

log = logging.getLogger("jobs")
PROGRESS = "progress.json"
EVERY_S = 15.0


class Progress:
    """Leaves images seen, loss and speed beside the checkpoint, at most every EVERY_S seconds."""

    def __init__(self, output: str, epochs: int, total: int, seen: int) -> None:
        """Start the clock of one epoch at `seen` of `total` images."""
        self._output, self._epochs, self._total, self._first = output, epochs, total, seen
        self._started = self._last = time.monotonic()

    @property
    def due(self) -> bool:
        """Tell whether the last line is old enough for another one."""
        return time.monotonic() - self._last >= EVERY_S

    def say(self, epoch: int, seen: int, losses: Tensor, steps: int) -> None:
        """Leave one line, unless the last is too young; `losses` is the sum over the epoch's steps so far."""
        if not self.due:
            return
        self._last = now = time.monotonic()
        loss = float(losses) / steps
        speed = (seen - self._first) / (now - self._started)
        left = (self._total - seen) / max(speed, 1e-9)
        line = f"epoch {epoch + 1} of {self._epochs}, {seen} of {self._total} images, loss {loss:.4f}, {speed:.1f} images/s"
        uris.write_bytes(uris.join(self._output, PROGRESS), json.dumps(f"{line}, {left:.0f} s to go").encode())


@contextlib.contextmanager
def following(output: str) -> Generator[None]:
    """Log what the workers leave, until the block ends."""
    stop = threading.Event()
    thread = threading.Thread(target=_follow, args=(output, stop, _epochs(output)), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=10)
        uris.delete(uris.join(output, PROGRESS))


def _epochs(output: str) -> list[bytes]:
    """Return the lines of the log, one an epoch."""
    return uris.read_bytes(uris.join(output, LOG)).splitlines() if uris.exists(uris.join(output, LOG)) else []


def _follow(output: str, stop: threading.Event, said: list[bytes]) -> None:
    """Log progress and new epochs; `said` are those of before, by this training if it was resumed, else by one that it overwrites."""
    shown, over = "", False
    while not over:
        # Once more after the end: the last epochs may be younger than the last look.
        over = stop.wait(3.0)
        line = (
            json.loads(uris.read_bytes(uris.join(output, PROGRESS))) if uris.exists(uris.join(output, PROGRESS)) else ""
        )
        if line != shown:
            shown = line
            log.info("%s", line)
        rows = _epochs(output)
        known = len(said) if rows[: len(said)] == said else 0
        for row in map(json.loads, rows[known:]):
            measured = [
                f"PSNR {value:.2f} dB {name.split('_')[1]}" for name, value in row.items() if name.endswith("_psnr")
            ]
            measured += [f"landmarks {value:.1f} px²" for name, value in row.items() if name.endswith("_landmark_mse")]
            log.info("epoch %d: validation %s", row["epoch"] + 1, ", ".join(measured))
        said = rows
