"""Loading that does not give up: what cannot be loaded yet is tried again, and the reason is kept."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from rupantara.errors import UserError
from serve.problems import Problem

log = logging.getLogger("ray.serve")

RETRY_S = 5.0
"""Seconds between tries to load what could not be loaded."""


class Loading:
    """Loads something when it is built; what a user can mend (UserError) is kept as the reason and tried again, for ever.

    A constructor that fails would make Serve start it over and over, and nobody could be told why.
    """

    def __init__(self, load: Callable[[], Any], what: str) -> None:
        """Load, or begin to try again in the background."""
        self._load, self._what, self.value, self.reason = load, what, None, ""
        if not self._try():
            threading.Thread(target=self._again, daemon=True).start()

    def _try(self) -> bool:
        try:
            self.value = self._load()
        except (UserError, OSError) as error:
            self.reason = " ".join(str(error).split())
            log.warning("%s is not ready: %s", self._what, self.reason)
            return False
        self.reason = ""
        return True

    def _again(self) -> None:
        while True:
            time.sleep(RETRY_S)
            if self._try():
                return

    def get(self) -> Any:
        """Return what was loaded; raise the problem where it is not there."""
        if self.value is None:
            raise Problem("not_ready", f"{self._what} is not ready: {self.reason or 'it is being loaded'}")
        return self.value
