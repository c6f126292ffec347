"""A real S3-compatible server on loopback: OpenStack Swift with its s3api, from PyPI, in an environment of its own.

    python -m tests.s3_server --folder runs/s3        # what `make s3` runs: prints the variables to set, serves until Ctrl-C

Swift checks signatures, keeps objects on disk and speaks multipart, conditional puts and listings; it needs no root.
"""

import argparse
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
VENV = REPOSITORY / ".venv-swift"
RELEASE = "2.38.3"
ACCESS_KEY, SECRET_KEY, REGION = "test:tester", "testing", "us-east-1"
START_TIMEOUT_S = 60.0
KINDS = ("account", "container", "object")

SWIFT_CONF = "[swift-hash]\nswift_hash_path_suffix = rupantara\nswift_hash_path_prefix = rupantara\n"

STORAGE_CONF = """[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
workers = 0
fallocate_reserve = 0
log_level = ERROR
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""

PIPELINE = (
    "catch_errors proxy-logging cache listing_formats bulk s3api tempauth copy slo dlo versioned_writes symlink"
    " proxy-logging proxy-server"
)
FILTERS = ("catch_errors", "listing_formats", "bulk", "copy", "slo", "dlo", "versioned_writes", "symlink")

PROXY_CONF = """[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
swift_dir = {folder}
workers = 0
log_level = ERROR
[pipeline:main]
pipeline = {pipeline}
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
min_segment_size = 1048576
[filter:proxy-logging]
use = egg:swift#proxy_logging
access_log_level = ERROR
access_log_facility =
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:1
error_suppression_limit = 1
error_suppression_interval = 100000
"""


def install() -> Path:
    """Make the environment once and return its scripts' folder."""
    scripts, done = VENV / "bin", VENV / ".installed"
    if not done.exists():
        shutil.rmtree(VENV, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
        quiet = ["-q", "--disable-pip-version-check"]
        subprocess.run([scripts / "python", "-m", "pip", "install", *quiet, f"swift=={RELEASE}"], check=True)
        done.touch()
    return scripts


def free_port() -> int:
    """Return a TCP port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Swift:
    """Four server processes over one folder; `port` is the S3 endpoint's."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        """Write the configuration and rings, unless the folder has them."""
        self._scripts, self._folder = install(), folder.absolute()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        ports = {kind: free_port() for kind in KINDS}
        self.port = port or free_port()
        shutil.rmtree(self._folder / "rings", ignore_errors=True)
        (self._folder / "devices/sdb1").mkdir(parents=True, exist_ok=True)
        (self._folder / "swift.conf").write_text(SWIFT_CONF)
        for kind in KINDS:
            words = {"kind": kind, "port": ports[kind], "folder": self._folder}
            (self._folder / f"{kind}.conf").write_text(STORAGE_CONF.format(**words))
            self._make_ring(kind, ports[kind])
        filters = "".join(f"[filter:{name}]\nuse = egg:swift#{name}\n" for name in FILTERS)
        conf = PROXY_CONF.format(port=self.port, folder=self._folder, pipeline=PIPELINE) + filters
        (self._folder / "proxy.conf").write_text(conf)

    def _make_ring(self, kind: str, port: int) -> None:
        builder = self._folder / f"{kind}.builder"
        builder.unlink(missing_ok=True)
        for verb in (("create", "4", "1", "1"), ("add", f"r1z1-127.0.0.1:{port}/sdb1", "100"), ("rebalance",)):
            command = [self._scripts / "swift-ring-builder", builder, *verb]
            subprocess.run(command, check=True, capture_output=True)

    @property
    def endpoint(self) -> str:
        """Return the endpoint's address."""
        return f"http://127.0.0.1:{self.port}"

    def settings(self) -> dict[str, str]:
        """Return the standard AWS variables that lead here."""
        return environment(self.endpoint)

    def start(self, *names: str) -> None:
        """Start the servers (all of them when none is named) and wait until each listens."""
        for name in names or (*KINDS, "proxy"):
            command = [self._scripts / f"swift-{name}-server", self._folder / f"{name}.conf"]
            with (self._folder / f"{name}.log").open("ab") as log:
                self._processes[name] = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        for name in names or (*KINDS, "proxy"):
            self._await(name)

    def _await(self, name: str) -> None:
        conf = (self._folder / f"{name}.conf").read_text()
        port = int(conf.partition("bind_port = ")[2].partition("\n")[0])
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            if self._processes[name].poll() is not None:
                break
            time.sleep(0.05)
        said = (self._folder / f"{name}.log").read_text()[-1000:]
        raise RuntimeError(f"swift's {name} server does not listen on port {port}: {said}")

    def stop(self, *names: str) -> None:
        """Kill servers (all of them when none is named)."""
        for name in names or tuple(self._processes):
            process = self._processes.pop(name)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def revive(self) -> None:
        """Start a server again that has ended, and say so."""
        for name, process in list(self._processes.items()):
            if process.poll() is not None:
                print(f"# swift's {name} server ended with {process.returncode}; it is started again", flush=True)
                self.start(name)


def environment(endpoint: str) -> dict[str, str]:
    """Return the standard AWS variables for an endpoint of this server."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextlib.contextmanager
def serving(folder: Path, port: int = 0) -> Iterator[Swift]:
    """Serve for the length of a `with` block."""
    swift = Swift(folder, port)
    try:
        swift.start()
        yield swift
    finally:
        swift.stop()


def make_bucket(settings: Mapping[str, str], name: str) -> None:
    """Create a bucket; nothing happens when it is there."""
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=settings["AWS_ENDPOINT_URL"],
        aws_access_key_id=settings["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=settings["AWS_SECRET_ACCESS_KEY"],
        region_name=settings["AWS_DEFAULT_REGION"],
    )
    with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou):
        client.create_bucket(Bucket=name)


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tests.s3_server", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("runs/s3"), help="where the objects lie")
    parser.add_argument("--port", type=int, default=18080)
    parser.add_argument("--bucket", default="rupantara")
    args = parser.parse_args()
    with serving(args.folder, args.port) as swift:
        make_bucket(swift.settings(), args.bucket)
        print(*(f"export {name}={value}" for name, value in swift.settings().items()), sep="\n", flush=True)
        print(f"# s3://{args.bucket} is served from {args.folder}; Ctrl-C ends it", flush=True)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                time.sleep(1)
                swift.revive()


if __name__ == "__main__":
    main()
