"""Serve on this machine: `python -m serve [host=127.0.0.1] [port=8000] [checkpoint=…] [bank=…] …` (`serve.config` has all names).

Ends with one line and code 1 where something cannot be served, 2 for wrong arguments; Ctrl-C ends it and everything it started.
"""

import contextlib
import io
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence

import httpx
from pydantic import ValidationError

from actors.starting import start_error
from rupantara.errors import UserError
from serve import auth
from serve.auth import Tokens
from serve.config import Config
from serve.problems import described


def parse(arguments: Sequence[str]) -> tuple[str, int, Config]:
    """Read NAME=VALUE arguments into address, port and configuration; UserError for others."""
    wrong = [one for one in arguments if "=" not in one]
    if wrong:
        raise UserError(f"arguments must be NAME=VALUE, got {', '.join(wrong)}")
    values = {name: value for name, _, value in (one.partition("=") for one in arguments) if value}
    host, port = values.pop("host", "127.0.0.1"), values.pop("port", "8000")
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise UserError(f"port must be a number from 1 to 65535, got {port!r}")
    try:
        return host, int(port), Config.model_validate(values)
    except ValidationError as error:
        raise UserError("; ".join(described(one) for one in error.errors())) from None


def check_room(config: Config) -> None:
    """Raise UserError where the cluster has fewer CPUs free than the replicas reserve: they would wait for ever."""
    import ray

    names = ["ingress", "faces", *(["hybrids"] if config.checkpoint else [])]
    needed = sum(config.scale_of(name).num_cpus * max(1, config.scale_of(name).min_replicas) for name in names)
    free = ray.available_resources().get("CPU", 0.0)
    if needed > free:
        raise UserError(
            f"the cluster must have {needed:g} CPUs free for the replicas, it has {free:g} of {ray.cluster_resources().get('CPU', 0):g}:"
            ' end what holds them, or reserve less: scale={"hybrids": {"num_cpus": 0.1}}'
        )


def wait_ready(host: str, port: int, stop: threading.Event) -> None:
    """Print once what keeps the server from being ready, and when it is."""
    named = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    said, url = "", f"http://{f'[{named}]' if ':' in named else named}:{port}"
    while not stop.wait(0.5):
        try:
            answer = httpx.get(f"{url}/readyz", timeout=10, trust_env=False)
        except httpx.HTTPError:
            continue
        if answer.status_code == 200:
            print(f"ready: {url} (the API's documents: {url}/docs)", flush=True)
            return
        detail = answer.json().get("detail", "") if "json" in answer.headers.get("content-type", "") else answer.text
        if detail != said:
            print(f"not ready: {detail}", flush=True)
            said = detail


def main(arguments: Sequence[str]) -> int:
    """Serve until a signal comes."""
    try:
        host, port, config = parse(arguments)
        auth.require(host, Tokens(config.tokens, os.environ.get(auth.VARIABLE, "")))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return run(host, port, config)


def run(host: str, port: int, config: Config) -> int:
    """Start Ray, or join the cluster that there is, and serve until a signal comes."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    # Not above: wrong arguments are answered before Ray and torch are there.
    import ray
    from ray import serve

    from serve.app import NAME, build

    # Ray's workers stand back by 15 for others on the machine; who serves people does not. (It counts where Ray is started here.)
    os.environ.setdefault("RAY_worker_niceness", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray.init(namespace="serve", logging_level=logging.WARNING, log_to_driver=False)
    except Exception as error:
        said = start_error(error)
        if not isinstance(said, UserError):
            raise
        print(said, file=sys.stderr)
        return 1
    try:
        check_room(config)
        serve.start(http_options={"host": host, "port": port})
        # Not waited for: the ingress answers meanwhile, and says what the others wait for.
        serve.run_many(
            [serve.RunTarget(build(config), name=NAME, route_prefix="/")], wait_for_applications_running=False
        )
        wait_ready(host, port, stop)
        stop.wait()
        print("stopping", flush=True)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        end(serve.shutdown, ray.shutdown)
    return 0


def end(*steps: Callable[[], object]) -> None:
    """End Serve and Ray, and keep their farewell to ourselves.

    The controller ends by killing itself, which Ray prints as a task that failed and is tried for ever. What it prints comes over
    stdout; real troubles are logged, to stderr.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        for step in steps:
            step()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
