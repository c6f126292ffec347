"""A replica and a bank shard are killed while requests come in: how many of the admitted ones are answered right?

python -m benchmarks.serve_chaos [--requests 5000] [--callers 8]

Over real HTTP on loopback, by tokens of people who do not exist: of every ten requests nine are searches of the nearest animals of a
nose and one is a hybrid, picture and all. Two replicas of the region VAE, and a bank in shard actors. At a third of the requests one
replica's process is killed, at two thirds one shard's. Not admitted are those turned away at the door (429, and 503 `overloaded`); any
other 503 counts as wrong. Right is the answer that the library gives in this process: the same animals, and pictures at most 2 of 255
away at any pixel, since a batch rounds otherwise than one alone. Prints a JSON object, and writes it beside this file.
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

import cv2
import httpx
import numpy as np
import ray
from ray import serve
from ray._private import state

from rupantara.bank import versions
from rupantara.landmarks.regions import REGIONS
from serve.app import build
from serve.bank import LocalBank
from serve.config import Config
from serve.hybrids import HybridAsk, HybridMaker
from serve.services import TRUNCATION

HERE = Path(__file__).resolve().parents[1]
PORT, PEOPLE, K = 8191, 16, 3
REGION, SPECIES, EVERY, MOST_OFF = "nose", "tiger", 10, 2
TURNED_AWAY = ("429 rate_limited", "503 overloaded")


def alive(matches):
    """Return the actors that live and match."""
    return [one for one in state.actors().values() if one["State"] == "ALIVE" and matches(one)]


def kill(matches):
    """Kill the process of the first actor that matches."""
    pid = alive(matches)[0]["Pid"]
    os.kill(pid, signal.SIGKILL)
    return pid


def expected(config):
    """Return the library's own answers by the number of the person: the nearest animals, and a hybrid's donors and picture."""
    maker = HybridMaker(config.checkpoint, LocalBank(versions.latest(config.bank)), 1)
    people = [maker.sample(number, TRUNCATION) for number in range(PEOPLE)]
    found = [[hit["bank_id"] for hit in maker.search(one, [REGION], K, "")[REGION]] for one in people]
    mixed = dict.fromkeys(REGIONS, SPECIES), dict.fromkeys(REGIONS, 1.0)
    made = [maker.generate([HybridAsk(one, *mixed)])[0][0] for one in people]
    return found, [(list(one.record.bank_ids), one.picture.astype(int)) for one in made]


def tokens(client):
    """Return a token of each person, so that a request is a search or a hybrid alone."""
    asked = ({"sample": number, "truncation": TRUNCATION} for number in range(PEOPLE))
    return [client.post("/v1/faces", json=one).json()["faces"][0]["face"] for one in asked]


def searched(client, face, wanted):
    """Search, and compare."""
    answer = client.post("/v1/search", json={"face": face, "regions": [REGION], "k": K})
    return answer, answer.is_success and [hit["bank_id"] for hit in answer.json()["regions"][REGION]] == wanted


def mixed(client, face, wanted):
    """Make a hybrid, and compare."""
    answer = client.post("/v1/hybrids", json={"face": face, "species": SPECIES})
    if not answer.is_success:
        return answer, False
    ids, picture = wanted
    got = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)[..., ::-1].astype(int)
    return answer, answer.headers["X-Rupantara-Bank-Ids"].split(",") == ids and np.abs(got - picture).max() <= MOST_OFF


def run(requests, callers, faces, wanted):
    """Send the requests and kill on the way; return what came of each (kind, status or code, right, when it began, seconds)."""
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
            start, person = time.monotonic(), number // EVERY % PEOPLE
            kind, work = ("hybrid", mixed) if number % EVERY == 0 else ("search", searched)
            try:
                answer, right = work(client, faces[person], wanted[kind == "hybrid"][person])
                status = str(answer.status_code)
                if not answer.is_success and "json" in answer.headers.get("content-type", ""):
                    status += " " + answer.json()["code"]
            except httpx.HTTPError as error:
                status, right = type(error).__name__, False
            with lock:
                done.append((kind, status, bool(right), start - begun, time.monotonic() - start))

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
            # One of the two replicas answers each time.
            while not all(client.get("/readyz").status_code == 200 for _ in range(12)):
                time.sleep(0.5)
            faces = tokens(client)
        done, kills, seconds = run(args.requests, args.callers, faces, wanted)
    finally:
        serve.shutdown()
        ray.shutdown()
    admitted = [one for one in done if one[1] not in TURNED_AWAY]
    right = sum(one[2] for one in admitted)
    result = {
        "requests": len(done),
        "admitted": len(admitted),
        "right": right,
        "share_right": round(right / max(1, len(admitted)), 5),
        "by_kind": dict(Counter(one[0] for one in done)),
        "by_status": dict(Counter(one[1] for one in done)),
        "killed_at_s": kills,
        "seconds": round(seconds, 1),
        "load": os.getloadavg()[0],
    }
    for kind in ("search", "hybrid"):
        spent = [one[4] for one in admitted if one[0] == kind]
        result |= {f"{kind}_p{p}_ms": round(float(np.percentile(spent, p)) * 1e3, 1) for p in (50, 99, 100)}
    print(json.dumps(result, indent=1))
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
