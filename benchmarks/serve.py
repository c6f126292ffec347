"""A hybrid of an uploaded photograph over HTTP against the same chain (find, encode, retrieve, decode, PNG) in a loop in one process.

python -m benchmarks.serve [--photo FILE] [--weights FOLDER] [--rounds 5] [--count 20] [--threads 1]

Rounds of the loop, of one caller and of eight alternate, so that what else the machine does meets all alike. Loopback only.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import ray
from ray import serve

from rupantara.bank import versions
from rupantara.imaging.codec import encode_jpeg
from rupantara.landmarks.regions import REGIONS
from rupantara.synthetic import draw_face
from serve.app import build
from serve.bank import LocalBank
from serve.config import Config
from serve.faces import FaceFinder, with_codes
from serve.hybrids import HybridAsk, HybridMaker
from serve.pictures import encode

HERE = Path(__file__).resolve().parents[1]
PORT = 8190
CALLERS = 8


def loop(config: Config, threads: int) -> Callable[[bytes], bytes]:
    """Return the chain as one function in this process."""
    finder = FaceFinder(config.weights, config.limits.max_pixels)
    maker = HybridMaker(config.checkpoint, LocalBank(versions.latest(config.bank)), threads)
    species, amounts = dict.fromkeys(REGIONS, "tiger"), dict.fromkeys(REGIONS, 1.0)

    def make(photo: bytes) -> bytes:
        (face,) = finder.find(photo)
        codes = maker.encode([face])[0]
        coded = with_codes(face, codes.global_mu, codes.regions_mu, codes.model_sha256)
        ((made,),) = maker.generate([HybridAsk(coded, species, amounts)])
        assert made.picture is not None
        return encode(made.picture, made.record, "png")

    return make


def over_http(client: httpx.Client) -> Callable[[bytes], bytes]:
    """Return the request as a function."""

    def make(photo: bytes) -> bytes:
        answer = client.post("/v1/hybrids", files={"photo": ("a.jpg", photo, "image/jpeg")}, data={"species": "tiger"})
        answer.raise_for_status()
        return answer.content

    return make


def timed(work: Callable[[bytes], bytes], photo: bytes, count: int) -> list[float]:
    """Return the seconds of each of `count` calls, one after the other."""
    seconds = []
    for _ in range(count):
        start = time.perf_counter()
        work(photo)
        seconds.append(time.perf_counter() - start)
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photo", default="")
    parser.add_argument("--weights", default="")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1, help="torch threads of the loop and of the replica")
    args = parser.parse_args()
    photo = Path(args.photo).read_bytes() if args.photo else encode_jpeg(draw_face("human", 999, size=320).image)
    shipped, threads = HERE / "pretrained", args.threads
    told = {"checkpoint": str(shipped / "region_vae"), "bank": str(shipped / "bank"), "weights": args.weights}
    config = Config.model_validate({**told, "scale": {"hybrids": {"num_cpus": 0.5, "threads": threads}}})
    # As `python -m serve` starts Ray; with its own 15 the workers would stand back for the loop.
    os.environ.setdefault("RAY_worker_niceness", "0")
    ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    serve.start(http_options={"host": "127.0.0.1", "port": PORT})
    serve.run(build(config), name="bench", route_prefix="/")
    try:
        print(json.dumps(result := measure(loop(config, threads), photo, args.rounds, args.count)))
    finally:
        serve.shutdown()
        ray.shutdown()
    Path(__file__).with_name("serve.json").write_text(json.dumps(result, indent=1) + "\n")


def measure(alone: Callable[[bytes], bytes], photo: bytes, rounds: int, count: int) -> dict[str, float | int]:
    """Alternate the loop, one caller and eight callers."""
    limits = httpx.Limits(max_connections=CALLERS, max_keepalive_connections=CALLERS)
    in_loop, one, many, rate = [], [], [], []
    with httpx.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=60, limits=limits, trust_env=False) as client:
        served = over_http(client)
        for work in (alone, served):
            timed(work, photo, 3)
        with ThreadPoolExecutor(CALLERS) as callers:
            for _ in range(rounds):
                in_loop += timed(alone, photo, count)
                one += timed(served, photo, count)
                start = time.perf_counter()
                found = list(callers.map(lambda _: timed(served, photo, count // 2), range(CALLERS)))
                rate.append(CALLERS * (count // 2) / (time.perf_counter() - start))
                many += [spent for part in found for spent in part]
                print(
                    f"loop {np.median(in_loop):.3f} s, one {np.median(one):.3f} s, eight {rate[-1]:.2f} a second",
                    flush=True,
                )
    ms = {"loop": in_loop, "one": one, "eight": many}
    told: dict[str, float | int] = {"cores": os.cpu_count() or 1, "calls": len(one), "load": os.getloadavg()[0]}
    for name, values in ms.items():
        told |= {f"{name}_p{p}_ms": round(float(np.percentile(values, p)) * 1e3, 1) for p in (50, 95)}
    per_s = len(in_loop) / sum(in_loop)
    told |= {"loop_per_s": round(per_s, 2), "eight_per_s": round(float(np.mean(rate)), 2)}
    told["p50_over_loop"] = round(float(np.median(one) / np.median(in_loop)), 3)
    told["eight_over_loop"] = round(float(np.mean(rate)) / per_s, 3)
    return told


if __name__ == "__main__":
    main()
