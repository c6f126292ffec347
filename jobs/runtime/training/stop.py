"""Why a training stopped for good: a worker leaves it beside the checkpoint, where the driver and a new group of workers find it.

Ray restarts workers that fail, and rightly so for a machine that has gone. A loss that is NaN would be NaN again.
"""

import json

from rupantara.storage import uris

STOPPED = "stopped"
"""Entry of what a worker returns."""
FILE = "_train/stopped.json"


def leave(output: str, why: str) -> None:
    """Leave the reason."""
    uris.write_bytes(uris.join(output, FILE), json.dumps(why).encode())


def reason(output: str) -> str:
    """Return the reason, "" where there is none."""
    path = uris.join(output, FILE)
    return str(json.loads(uris.read_bytes(path))) if uris.exists(path) else ""


def clear(output: str) -> None:
    """Forget the reason: the training is tried again."""
    if uris.exists(uris.join(output, FILE)):
        uris.delete(uris.join(output, FILE))
