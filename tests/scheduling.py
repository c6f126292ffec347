"""Which worker runs which tests where several run at a time (`pytest -n 2`): a file is never split, nor what shares something dear."""

from collections.abc import Sequence

import pytest
from xdist.scheduler import LoadScopeScheduling

ONE_RUN = ("tests/jobs/test_whole_way.py", "tests/jobs/test_enhance_job.py", "tests/actors/test_sharded_bank.py")
"""Files that share the session's run of the whole way."""
ONE_SERVER = ("tests/serve", "tests/storage")
"""Folders whose files share a server."""
LONG = (*ONE_RUN, "tests/jobs", "tests/actors", "tests/serve", "tests/storage")
"""What is begun first, so that at the end no worker waits long for another."""


def scope_of(nodeid: str) -> str:
    """Return the name of what is run by one worker: a folder, a set of files or a file."""
    file = nodeid.partition("::")[0]
    if file in ONE_RUN:
        return "one run"
    return next((folder for folder in ONE_SERVER if file.startswith(f"{folder}/")), file)


def in_order(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Sort tests by what is long; files stay whole and in their order."""

    def rank(item: pytest.Item) -> int:
        return next((i for i, place in enumerate(LONG) if item.nodeid.startswith(place)), len(LONG))

    return sorted(items, key=rank)


class Scheduling(LoadScopeScheduling):
    """Hands out scopes in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)
