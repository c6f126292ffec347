"""`make serve` from its start to its end: seconds to ready, memory of all deployments, and what bad clients do to it.

python -m benchmarks.serve_endurance [--port 8192] [--rounds 20] [--slow 20] [--repeats 3]

Starts `make serve` with the shipped models, waits until every route answers, asks each once, and sums the memory of all processes that it
started (proportional set size, so that shared pages count once). Then come uploads of 15 MB (noise as PNG, and bytes that are no
picture), clients that send a little and wait, and clients that go away in the middle. Statuses are counted: no 5xx but 503 may be among
them. Then memory is measured again, process by process, and all is repeated: what leaks grows with every repeat. Writes
benchmarks/serve_endurance.json.
"""

import argparse
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np

from rupantara.imaging.codec import encode_png

HERE = Path(__file__).resolve().parents[1]
UPLOAD_BYTES, SLOW_S = 15_000_000, 20
EACH = {
    "/v1/faces": {"sample": 7},
    "/v1/hybrids": {"sample": 7, "species": "tiger"},
    "/v1/variations": {"sample": 7},
    "/v1/inversions": {"sample": 7},
    "/v1/children": {"first": {"sample": 7}, "second": {"sample": 8}},
    "/v1/search": {"sample": 7, "k": 3, "pictures": True},
    "/v1/affinities": {"sample": 7},
}


def started_by(pid):
    """Return a process and all that it started, by their parents."""
    parents = {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(place.parent.name)] = int(place.read_text().rpartition(")")[2].split()[1])
    found = {pid}
    while more := {one for one, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def pss(pid):
    """Return the memory of a process and all that it started, MiB: by process, and by kind (own, of files, shared)."""
    by_name, by_kind = Counter(), Counter()
    for one in started_by(pid):
        with contextlib.suppress(OSError):
            name = Path(f"/proc/{one}/cmdline").read_text().replace("\0", " ").replace(f"{HERE}/", "")[:60].strip()
            # Ray's processes add the method that they are in.
            name = name.partition(".")[0] if name.startswith("ray::") else name
            told = Path(f"/proc/{one}/smaps_rollup").read_text()
            for kind in ("Anon", "File", "Shmem"):
                (kib,) = re.findall(rf"^Pss_{kind}: +([0-9]+) kB", told, re.M)
                by_kind[kind] += int(kib) / 1024
                by_name[name] += int(kib) / 1024
    return by_name, by_kind


def gib(measured):
    """Return all of it."""
    return round(measured[0].total() / 1024, 2)


def started(port):
    """Start the server; return it, and the seconds until it is alive and until every route can answer."""
    begun = time.monotonic()
    # What `make serve` runs once all is installed.
    make = ["make", "--no-print-directory", "-n", "-o", "install", "serve", f"PORT={port}"]
    command = subprocess.run(make, cwd=HERE, capture_output=True, text=True, check=True).stdout
    server = subprocess.Popen(
        ["bash", "-c", command],
        cwd=HERE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    alive = None
    while True:
        with contextlib.suppress(httpx.HTTPError):
            status = httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=10, trust_env=False).status_code
            alive = alive or time.monotonic() - begun
            if status == 200:
                return server, alive, time.monotonic() - begun
        assert server.poll() is None, "the server ended"
        time.sleep(0.25)


def uploaded(url, files):
    """Post a photograph; return the status."""
    try:
        return httpx.post(f"{url}/v1/hybrids", files=files, timeout=120, trust_env=False).status_code
    except httpx.HTTPError as error:
        return type(error).__name__


def half_sent(port, wait_s):
    """Send the beginning of a request of 15 MB and wait; return the status that comes meanwhile, or that the connection ended."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as one:
        lines = ("POST /v1/hybrids HTTP/1.1", f"Host: 127.0.0.1:{port}", "Content-Type: application/json")
        head = "\r\n".join((*lines, f"Content-Length: {UPLOAD_BYTES}", "", ""))
        one.sendall(head.encode() + b'{"photo": "' + b"A" * 200_000)
        if not wait_s:
            return "gone"
        one.settimeout(wait_s)
        with contextlib.suppress(TimeoutError):
            said = one.recv(64)
            return int(said.split()[1]) if said.startswith(b"HTTP/") else "closed"
        return "waiting"


def hostile(args, url, files):
    """Send the uploads, the slow clients and those that go away, eight at once; return the statuses."""
    with ThreadPoolExecutor(8) as pool:
        sent = [pool.submit(uploaded, url, {"photo": files[i % 2]}) for i in range(args.rounds)]
        sent += [pool.submit(half_sent, args.port, SLOW_S if i % 2 else 0) for i in range(args.slow)]
        return Counter(str(one.result()) for one in sent)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8192)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--slow", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    server, alive_s, ready_s = started(args.port)
    url = f"http://127.0.0.1:{args.port}"
    try:
        routes = {}
        for path, body in EACH.items():
            routes[path] = httpx.post(url + path, json=body, timeout=120, trust_env=False).status_code
        time.sleep(5)
        memory = [pss(server.pid)]
        noise = np.random.default_rng(0).integers(0, 256, (2236, 2236, 3), dtype=np.uint8)
        files = [("photo.png", encode_png(noise)), ("photo.jpg", os.urandom(UPLOAD_BYTES))]
        statuses = Counter()
        for _ in range(args.repeats):
            statuses += hostile(args, url, files)
            time.sleep(5)
            memory.append(pss(server.pid))
            print(gib(memory[-1]), "GiB", flush=True)
        after_status = httpx.post(f"{url}/v1/hybrids", json={"sample": 1}, timeout=120, trust_env=False).status_code
    finally:
        # As Ctrl-C does: to all of the terminal's foreground.
        begun = time.monotonic()
        os.killpg(server.pid, signal.SIGINT)
        said, _ = server.communicate(timeout=120)
        ended_s = time.monotonic() - begun
    result = {
        "alive_s": round(alive_s, 1),
        "ready_s": round(ready_s, 1),
        "routes": routes,
        "memory_gib": gib(memory[0]),
        "memory_after_gib": [gib(one) for one in memory[1:]],
        "mib_by_kind": {kind: [round(part[kind]) for _, part in memory] for kind in memory[0][1]},
        "mib_by_process": {
            name: [round(part[name]) for part, _ in memory] for name, _ in memory[-1][0].most_common(12)
        },
        "upload_mb": [round(len(data) / 1e6, 1) for _, data in files],
        "statuses": dict(statuses),
        "a_hybrid_after": after_status,
        "ended_in_s": round(ended_s, 1),
        "code_at_the_end": server.returncode,
        "said_from_start_to_end": said.splitlines(),
        "load": os.getloadavg()[0],
    }
    print(json.dumps(result, indent=1))
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
