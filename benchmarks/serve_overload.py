"""Twice as many requests as the server can answer: who is turned away, how fast, and how long do the others wait?

python -m benchmarks.serve_overload --photo FILE [--seconds 40] [--times 2]

Starts `python -m serve` with the shipped models, measures its capacity (eight callers, each asks again when it has its answer), then sends
hybrids of an uploaded photograph at `--times` that rate, whatever comes back. The surplus should get 503 with Retry-After at once; the
admitted wait at most for those that were let in before them, `limits.max_in_flight` over the capacity. Writes
benchmarks/serve_overload.json.
"""

import argparse
import asyncio
import base64
import json
import os
import time
from collections import Counter
from pathlib import Path

import httpx
import numpy as np

from benchmarks.peers.chain import SPECIES
from benchmarks.serve_peers import CALLERS, PATH, PORT, load, running
from serve.config import Limits

URL, HEADERS = f"http://127.0.0.1:{PORT}", {"Content-Type": "application/json"}


async def send(body, rate, seconds):
    """Send at a steady rate; return of each request its status, seconds and Retry-After."""
    done = []
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=URL, timeout=90, limits=limits, trust_env=False) as client:

        async def ask():
            start = time.perf_counter()
            try:
                answer = await client.post(PATH, content=body, headers=HEADERS)
                whole = answer.status_code != 200 or answer.content.startswith(b"\x89PNG")
                status = answer.status_code if whole else "cut"
                done.append((status, time.perf_counter() - start, answer.headers.get("retry-after")))
            except httpx.HTTPError as error:
                done.append((type(error).__name__, time.perf_counter() - start, None))

        begun, asked = time.perf_counter(), []
        for number in range(int(rate * seconds)):
            await asyncio.sleep(begun + number / rate - time.perf_counter())
            asked.append(asyncio.create_task(ask()))
        await asyncio.gather(*asked)
        return done, time.perf_counter() - begun


def milliseconds(spent, name):
    return {f"{name}_p{p}_ms": round(float(np.percentile(spent, p)) * 1e3, 1) for p in (50, 99, 100)} if spent else {}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photo", required=True)
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--times", type=float, default=2)
    args = parser.parse_args()
    photo = Path(args.photo).read_bytes()
    body = json.dumps({"photo": base64.b64encode(photo).decode(), "species": SPECIES}).encode()
    with running("serve", ""), httpx.Client(base_url=URL, timeout=60, trust_env=False) as client:
        load(client, body, CALLERS, 4)
        _, capacity, _ = load(client, body, CALLERS, 15)
        done, seconds = asyncio.run(send(body, args.times * capacity, args.seconds))
        after, _, failed_after = load(client, body, 1, 4)
    admitted = [spent for status, spent, _ in done if status == 200]
    refused = [(spent, retry) for status, spent, retry in done if status == 503]
    most = Limits().max_in_flight
    result = {
        "cores": os.cpu_count(),
        "capacity_per_s": round(capacity, 2),
        "asked_per_s": round(args.times * capacity, 2),
        "requests": len(done),
        "by_status": {str(status): count for status, count in Counter(one[0] for one in done).items()},
        "answered_per_s": round(len(admitted) / seconds, 2),
        "answered_over_capacity": round(len(admitted) / seconds / capacity, 3),
        "refused_with_retry_after": sum(retry is not None for _, retry in refused),
        "bound_ms": round(most / capacity * 1e3),
        **milliseconds(admitted, "admitted"),
        **milliseconds([spent for spent, _ in refused], "refused"),
        "one_after_p50_ms": round(float(np.median(after)) * 1e3, 1),
        "failed_after": failed_after,
    }
    print(json.dumps(result, indent=1))
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
