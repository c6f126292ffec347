"""The same chain behind this server, LitServe, and FastAPI with uvicorn; and Serve's switches HAProxy and gRPC on and off.

python -m benchmarks.serve_peers --photo FILE [--litserve PYTHON] [--only NAME,NAME] [--rounds 2] [--one-s 6] [--eight-s 20]

One server at a time on loopback, with the same checkpoint, bank and photograph (`benchmarks/peers`); the second round goes through
the servers backwards, so that what else the machine does meets all alike. Ours does on top what it always does: callers, limits and
metrics. `--litserve` is a Python that has the package `litserve`; without it that peer is left out. Writes benchmarks/serve_peers.json;
`--only` renews some of its servers.
"""

import argparse
import base64
import contextlib
import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np

from benchmarks.peers.chain import SHIPPED, SPECIES
from benchmarks.serve_endurance import started_by

FILE = Path(__file__).with_suffix(".json")
PORT, CALLERS, WORKERS, PATH = 8193, 8, 2, "/v1/hybrids"
OURS = ["-m", "serve", f"port={PORT}", f"checkpoint={SHIPPED}/region_vae", f"bank={SHIPPED}/bank"]
THREADS = ['scale={"hybrids": {"num_cpus": 0.5, "threads": 2}}']
REPLICAS = ['scale={"hybrids": {"num_cpus": 0.5, "min_replicas": 2, "max_replicas": 2}}']
HAPROXY, GRPC = {"RAY_SERVE_ENABLE_HA_PROXY": "1"}, {"RAY_SERVE_USE_GRPC_BY_DEFAULT": "1"}
SERVERS = {
    "serve": (OURS, {}),
    "serve+haproxy": (OURS, HAPROXY),
    "serve+grpc": (OURS, GRPC),
    "serve+haproxy+grpc": (OURS, HAPROXY | GRPC),
    "serve+replicas": (OURS + REPLICAS, {}),
    "serve+replicas+grpc": (OURS + REPLICAS, GRPC),
    "serve+threads": (OURS + THREADS, {}),
    "serve+threads+grpc": (OURS + THREADS, GRPC),
    "serve+threads+haproxy+grpc": (OURS + THREADS, HAPROXY | GRPC),
    f"litserve-{WORKERS}": (["-m", "benchmarks.peers.lit", str(PORT), str(WORKERS)], {}),
    "litserve-1": (["-m", "benchmarks.peers.lit", str(PORT), "1"], {}),
    f"fastapi-{WORKERS}": (["-m", "benchmarks.peers.plain", str(PORT), str(WORKERS)], {}),
}
"""Name (peers with the number of their processes) -> the arguments of Python that start it, and its environment."""


@contextlib.contextmanager
def running(name, litserve):
    """Run a server until the block ends; enter when it answers."""
    arguments, environment = SERVERS[name]
    python = litserve if name.startswith("litserve") else sys.executable
    server = subprocess.Popen(
        [python, *arguments],
        cwd=SHIPPED.parent,
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_ready(server, "/readyz" if name.startswith("serve") else "/health")
        yield server.pid
    finally:
        server.send_signal(signal.SIGINT)
        try:
            server.wait(90)
        finally:
            # What a peer leaves behind would weigh on the next.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)


def wait_ready(server, path):
    until = time.monotonic() + 180
    while time.monotonic() < until:
        assert server.poll() is None, "the server ended"
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"http://127.0.0.1:{PORT}{path}", timeout=10, trust_env=False).status_code == 200:
                return
        time.sleep(0.5)
    raise TimeoutError(path)


def cpu_s(pid):
    """Return the CPU seconds so far of the whole machine, and of a server, of all that it started, and of this process."""
    fields = Path("/proc/stat").read_text().split()[1:9]
    # All but what was idle or waited for a disk.
    whole, ours = sum(map(int, fields)) - int(fields[3]) - int(fields[4]), 0
    for one in (*started_by(pid), os.getpid()):
        with contextlib.suppress(OSError):
            ours += sum(map(int, Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()[11:13]))
    return np.array([whole, ours]) / os.sysconf("SC_CLK_TCK")


def load(client, body, callers, seconds):
    """Ask from several callers, each the next when it has the last; return the seconds of each answer, the rate, and what failed."""
    begun = time.perf_counter()

    def ask(_):
        spent, failed = [], 0
        while (start := time.perf_counter()) < begun + seconds:
            answer = client.post(PATH, content=body, headers={"Content-Type": "application/json"})
            spent.append(time.perf_counter() - start)
            failed += answer.status_code != 200 or not answer.content.startswith(b"\x89PNG")
        return spent, failed

    with ThreadPoolExecutor(callers) as pool:
        found = list(pool.map(ask, range(callers)))
    spent = [one for part, _ in found for one in part]
    return spent, len(spent) / (time.perf_counter() - begun), sum(failed for _, failed in found)


def measure(name, litserve, body, one_s, eight_s):
    limits = httpx.Limits(max_connections=CALLERS, max_keepalive_connections=CALLERS)
    with (
        running(name, litserve) as pid,
        httpx.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=60, limits=limits, trust_env=False) as client,
    ):
        load(client, body, CALLERS, 3)
        one, _, failed_one = load(client, body, 1, one_s)
        before = cpu_s(pid)
        eight, rate, failed = load(client, body, CALLERS, eight_s)
        whole, ours = cpu_s(pid) - before
    return one, eight, rate, failed + failed_one, 1e3 * ours / len(eight), float(whole - ours) / eight_s


def told(rounds):
    """Return the numbers of a server over its rounds."""
    one, eight = ([spent for found in rounds for spent in found[i]] for i in (0, 1))
    said = {"answers": len(one) + len(eight), "failed": sum(found[3] for found in rounds)}
    said["per_s"] = round(float(np.mean([found[2] for found in rounds])), 2)
    said["per_s_by_round"] = [round(found[2], 2) for found in rounds]
    said["cpu_ms_an_answer"] = round(float(np.mean([found[4] for found in rounds])), 1)
    said["cores_of_others"] = [round(found[5], 2) for found in rounds]
    said |= {f"one_p{p}_ms": round(float(np.percentile(one, p)) * 1e3, 1) for p in (50, 99)}
    return said | {f"eight_p{p}_ms": round(float(np.percentile(eight, p)) * 1e3, 1) for p in (50, 99)}


def version(python):
    """Return the version of LitServe that a Python has; None without it."""
    asked = "import importlib.metadata as m; print(m.version('litserve'))"
    found = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=False)
    return found.stdout.strip() or None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photo", required=True)
    parser.add_argument("--litserve", default=sys.executable)
    parser.add_argument(
        "--only", default=",".join(SERVERS).replace(", ", "+"), help="names, `+` for a comma inside one"
    )
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--one-s", type=float, default=6)
    parser.add_argument("--eight-s", type=float, default=20)
    args = parser.parse_args()
    names = args.only.split(",")
    lit = version(args.litserve)
    if lit is None:
        print(
            "litserve is not installed: that peer is left out (pip install litserve, or --litserve PYTHON)", flush=True
        )
        names = [name for name in names if not name.startswith("litserve")]
    photo = Path(args.photo).read_bytes()
    body = json.dumps({"photo": base64.b64encode(photo).decode(), "species": SPECIES}).encode()
    found = {name: [] for name in names}
    for number in range(args.rounds):
        for name in names if number % 2 == 0 else reversed(names):
            found[name].append(measure(name, args.litserve, body, args.one_s, args.eight_s))
            print(name, told(found[name][-1:]), flush=True)
    result = json.loads(FILE.read_text()) if FILE.exists() else {"servers": {}}
    packages = {name: importlib.metadata.version(name) for name in ("ray", "fastapi", "uvicorn")}
    result |= {"cores": os.cpu_count(), "callers": CALLERS, "versions": packages | {"litserve": lit}}
    result["servers"] |= {name: told(rounds) for name, rounds in found.items()}
    FILE.write_text(json.dumps(result | over_litserve(result["servers"]), indent=1) + "\n")


def over_litserve(servers):
    """Compare ours with the faster of LitServe's."""
    peers = [one for name, one in servers.items() if name.startswith("litserve")]
    if not peers or "serve" not in servers:
        return {}
    best = max(peers, key=lambda one: one["per_s"])
    return {
        f"{name}_over_litserve": {
            "per_s": round(ours["per_s"] / best["per_s"], 3),
            "p99": round(ours["eight_p99_ms"] / best["eight_p99_ms"], 3),
        }
        for name, ours in servers.items()
        if name.startswith("serve")
    }


if __name__ == "__main__":
    main()
