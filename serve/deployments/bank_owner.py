"""The deployment that owns the shard actors of a large bank."""

import logging
import threading
import time

from actors.sharded_bank import ShardedBank
from rupantara.errors import UserError
from serve.config import Config
from serve.deployments.loading import RETRY_S

log = logging.getLogger("ray.serve")


class BankOwner:
    """Owns the shard actors of a large bank: they are not detached, so they end with this replica, and with the application."""

    def __init__(self, config: Config) -> None:
        """Start the shards, off the constructor: what does not fit is said by `state` while the application lives."""
        self._uri, self._bank, self._reason = config.bank, None, "the bank's shards are being started"
        self._refresh_s = config.refresh_s
        threading.Thread(target=self._start, daemon=True).start()

    def _start(self) -> None:
        while self._bank is None:
            try:
                self._bank = ShardedBank.start(self._uri, timeout_s=120)
                self._reason = ""
            except (UserError, OSError) as error:
                self._reason = " ".join(str(error).split())
                log.warning("bank %s: %s", self._uri, self._reason)
                time.sleep(RETRY_S)
        while self._refresh_s > 0:
            time.sleep(self._refresh_s)
            try:
                if self._bank.refresh():
                    log.info("bank %s: version %d", self._uri, self._bank.version)
            except (UserError, OSError) as error:
                log.warning("bank %s stays at version %d: %s", self._uri, self._bank.version, error)

    async def state(self) -> str:
        """Return "" when ready, else the reason."""
        return self._reason

    async def client(self) -> ShardedBank | str:
        """Return a client of the version that is searched now, or why there is none."""
        return self._reason if self._bank is None else self._bank.pinned()
