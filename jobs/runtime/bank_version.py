"""The next version of a bank, on Ray: segments of the shards that a change touches, and the commit; a killed run goes on."""

import logging
import time
from functools import partial

import pyarrow as pa

from jobs.runtime import workers
from jobs.runtime.flags import Common
from rupantara.bank import changes, donors, versions
from rupantara.bank.changes import Change
from rupantara.bank.spec import spec_of
from rupantara.bank.versions import BankVersion
from rupantara.stages.bank import ChangeShard
from rupantara.storage import plan, tables

log = logging.getLogger("jobs")


def make(config: Common, base: BankVersion, change: Change | None, *, keep: int = 0) -> None:
    """Make the version that a change leads to, if it changes anything; then delete all versions but the newest `keep` (0 = none)."""
    if change is None:
        log.info("nothing to do: version %d of %s", base.number, base.uri)
    elif config.dry_run:
        print(
            f"{config}\nfingerprint {change.recipe.fingerprint}\nshards {list(change.shards)}, faces {change.species}"
        )
        return
    else:
        base = _written(config, base, change)
        log.info("%s: version %d, features by species: %s", base.uri, base.number, base.species)
    if keep:
        log.info("pruned %d files", len(versions.prune(base.uri, keep)))


def _written(config: Common, base: BankVersion, change: Change) -> BankVersion:
    fingerprint, started = change.recipe.fingerprint, time.monotonic()
    done = tables.done_parts(base.uri, fingerprint)
    parts = plan.of_rows([pa.table({"shard": [shard]}) for shard in change.shards])
    pending = [part for part in parts if part.index not in done]
    if pending:
        stage = partial(ChangeShard, base, fingerprint[:12], spec_of(base), **change.options)
        workers.run(config, pending, workers.Work("build_bank", base.uri, fingerprint, stage))
    donors.forget(base.uri, change.options.get("removed", ()))
    return changes.commit(base, change, time.monotonic() - started)
