"""Joining Ray: its greeting stays off stderr and nothing else does; a machine that is too busy to start it is an error in one line."""

import importlib
import inspect
import logging
import os
import re
import subprocess
import sys

import pytest
import ray

from jobs.runtime import cluster
from rupantara.errors import UserError

GREETING = b"[12:00:00 I 1 1] logging.cc:303: Set ray log level from environment variable RAY_BACKEND_LOG_LEVEL to 3\n"


def test_the_greeting_alone_is_kept_off_stderr_also_where_the_start_fails(capfd: pytest.CaptureFixture[str]) -> None:
    def start() -> None:
        with cluster.without_greeting():
            os.write(2, b"E one real error\n" + GREETING + b"E another, cut off")
            raise ValueError("no start")

    with pytest.raises(ValueError, match="no start"):
        start()
    os.write(2, b"\nafter\n")
    assert capfd.readouterr().err == "E one real error\nE another, cut off\nafter\n"


@pytest.mark.parametrize(
    ("said", "kind", "message"),
    [
        ("The current node timed out during startup. This could happen because …", UserError, "machine is too busy"),
        ("No port is left", Exception, "No port is left"),
    ],
)
def test_a_start_that_takes_too_long_is_said_in_one_line(
    said: str, kind: type[Exception], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(**_: object) -> None:
        raise Exception(said)

    monkeypatch.setattr(os, "environ", {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"})
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", fails)
    with pytest.raises(kind, match=message) as raised:
        cluster.connect()
    assert (raised.value.__cause__ is None) == (kind is Exception)


@pytest.mark.parametrize(("name", "alarm"), cluster.FALSE_ALARMS.items())
def test_a_worker_that_starts_slowly_is_not_said_to_hang(
    name: str, alarm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    cluster.quieten()
    source = inspect.getsource(importlib.import_module(name))
    assert alarm in re.sub(r'"\s+"', "", source), "Ray words it otherwise now"
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    logger = logging.getLogger(name)
    logger.addHandler(handler)
    try:
        logger.warning(f"Not enough to run any task from X. {alarm} …")
        logger.warning("something else")
    finally:
        logger.removeHandler(handler)
    assert said == ["something else"]


def test_the_peak_of_a_program_is_its_own_and_not_that_of_the_one_that_started_it() -> None:
    program = "from jobs.runtime.cluster import peak_mib; print(peak_mib())"
    held = b"x" * (600 * 2**20)
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert len(held) == 600 * 2**20 and 5 < float(found.stdout) < 400
