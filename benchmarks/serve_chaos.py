"""A replica and a bank shard are killed while requests come in: how many of the admitted ones are answered right?

python -m benchmarks.serve_chaos [--requests 5000] [--callers 8]

Searches by people who do not exist, over real HTTP on loopback; two replicas of the region VAE, and a bank in shard actors. At a
third of the requests one replica's process is killed, at two thirds one shard's. Admitted are all but those told to come back
(429, 503); right is the answer that the library gives in this process. Prints a JSON object, and writes it beside this file.
"""

import argparse
import json
import os
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import ray
from ray import serve
from ray._private import state

from rupantara.bank import versions
from serve.app import build
from serve.bank import LocalBank
from serve.config import Config
from serve.hybrids import HybridMaker

HERE = Path(__file__).resolve().parents[1]
PORT, PEOPLE, K = 8191, 16, 3
REGION = "nose"


def alive(matches):
    """Return the actors that live and match."""
    return [one for one in state.actors().values() if one["State"] == "ALIVE" and matches(one)]


def kill(matches):
    """Kill the process of the first actor that matches."""
    pid = alive(matches)[0]["Pid"]
    os.kill(pid, signal.SIGKILL)
    return pid


def expected(config):
    """Return the library's own answers, by the number of the person."""
    maker = HybridMaker(config.checkpoint, LocalBank(versions.latest(config.bank)), 1)
    found = (maker.search(maker.sample(number, 0.8), [REGION], K, "")[REGION] for number in range(PEOPLE))
    return [[hit["bank_id"] for hit in hits] for hits in found]


def tokens(client):
    """Return a token of each person, so that a request is a search alone."""
    return [client.post("/v1/faces", json={"sample": n}).json()["faces"][0]["face"] for n in range(PEOPLE)]


def run(requests, callers, faces, wanted):
    """Send the requests and kill on the way; return what came of each (status, right, seconds, when it ended)."""
    kills, done, lock = {}, [], threading.Lock()
    when = {requests // 3: ("replica", lambda one: "bench#hybrids" in one["Name"])}
    when |= {2 * requests // 3: ("shard", lambda one: one["ActorClassName"] == "BankShard")}
    begun = time.monotonic()
    limits = httpx.Limits(max_connections=callers)
    with httpx.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=60, limits=limits, trust_env=False) as client:

        def ask(number):
            if number in when:
                name, matches = when[number]
                kill(matches)
                kills[name] = round(time.monotonic() - begun, 2)
            start, person = time.perf_counter(), number % PEOPLE
            try:
                answer = client.post("/v1/search", json={"face": faces[person], "regions": [REGION], "k": K})
                status = answer.status_code
                right = status == 200 and [h["bank_id"] for h in answer.json()["regions"][REGION]] == wanted[person]
            except httpx.HTTPError as error:
                status, right = type(error).__name__, False
            with lock:
                done.append((status, right, time.perf_counter() - start))

        with ThreadPoolExecutor(callers) as pool:
            list(pool.map(ask, range(requests)))
    return done, kills, time.monotonic() - begun


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--callers", type=int, default=8)
    args = parser.parse_args()
    shipped = HERE / "pretrained"
    told = {"checkpoint": str(shipped / "region_vae"), "bank": str(shipped / "bank"), "bank_in_process_bytes": 0}
    scale = {"hybrids": {"min_replicas": 2, "max_replicas": 2, "num_cpus": 0.3}}
    config = Config.model_validate({**told, "scale": scale})
    wanted = expected(config)
    os.environ.setdefault("RAY_worker_niceness", "0")
    ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level="ERROR", num_cpus=4)
    try:
        serve.start(http_options={"host": "127.0.0.1", "port": PORT})
        serve.run(build(config), name="bench", route_prefix="/")
        with httpx.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=120, trust_env=False) as client:
            while client.get("/readyz").status_code != 200:
                time.sleep(0.5)
            faces = tokens(client)
        done, kills, seconds = run(args.requests, args.callers, faces, wanted)
    finally:
        serve.shutdown()
        ray.shutdown()
    admitted = [one for one in done if one[0] not in (429, 503)]
    spent = [one[2] for one in admitted]
    result = {
        "requests": len(done),
        "admitted": len(admitted),
        "right": sum(one[1] for one in admitted),
        "share_right": sum(one[1] for one in admitted) / max(1, len(admitted)),
        "by_status": {str(status): count for status, count in Counter(one[0] for one in done).items()},
        "killed_at_s": kills,
        "seconds": round(seconds, 1),
        **{f"p{p}_ms": round(float(np.percentile(spent, p)) * 1e3, 1) for p in (50, 99, 100)},
        "load": os.getloadavg()[0],
    }
    print(json.dumps(result, indent=1))
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
