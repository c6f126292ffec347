"""Replicas of the region VAE over time: one while one caller asks, three while eight do, and one again; drawn with every answer.

python -m benchmarks.serve_scaling [--many-s 120] [--most-s 240]

Hybrids of people who do not exist, over real HTTP on loopback. The number of callers goes 1, 8, 1; replicas follow it as Serve's autoscaler
decides from `scale` (`serve/config.py`), with shorter delays than the defaults, so that all is seen in some minutes. Three replicas on two
cores answer no faster than two: what is shown is that they come and go without a failed request. Writes benchmarks/serve_scaling.json and
docs/images/serving-replicas.svg.
"""

import argparse
import json
import os
import threading
import time
from pathlib import Path

import httpx
import matplotlib
import numpy as np
import ray
from ray import serve

matplotlib.use("svg")
from matplotlib import pyplot as plt

from benchmarks.peers.chain import SHIPPED
from serve.app import build
from serve.config import Config

FIGURE = SHIPPED.parent / "docs/images/serving-replicas.svg"
PORT, MOST = 8194, 8
SCALE = {
    "min_replicas": 1,
    "max_replicas": 3,
    "target_ongoing_requests": 2,
    "upscale_delay_s": 5,
    "downscale_delay_s": 20,
    "num_cpus": 0.4,
}


def replicas():
    """Return how many replicas of the region VAE answer."""
    states = serve.status().applications["bench"].deployments["hybrids"].replica_states
    return sum(count for state, count in states.items() if str(getattr(state, "value", state)) == "RUNNING")


class Load:
    """Callers that ask one request after the other; how many of them ask may change."""

    def __init__(self):
        self.begun, self.asking, self.answers, self.counts = time.monotonic(), 1, [], []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(number,)) for number in range(MOST)]
        self._threads.append(threading.Thread(target=self._watch))
        for one in self._threads:
            one.start()

    def now(self):
        """Return seconds since the start."""
        return time.monotonic() - self.begun

    def _call(self, number):
        with httpx.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=60, trust_env=False) as client:
            seed = number
            while not self._stop.is_set():
                if number >= self.asking:
                    time.sleep(0.1)
                    continue
                start, seed = self.now(), seed + MOST
                try:
                    status = client.post("/v1/hybrids", json={"sample": seed, "species": "tiger"}).status_code
                except httpx.HTTPError as error:
                    status = type(error).__name__
                self.answers.append((start, self.now() - start, status))

    def _watch(self):
        while not self._stop.wait(0.5):
            self.counts.append((self.now(), self.asking, replicas()))

    def until(self, number, most_s):
        """Wait until there are so many replicas; return when."""
        end = self.now() + most_s
        while self.now() < end:
            if self.counts and self.counts[-1][2] == number:
                return round(self.now(), 1)
            time.sleep(0.25)
        return None

    def stop(self):
        """End all callers."""
        self._stop.set()
        for one in self._threads:
            one.join()


def draw(load):
    """Draw callers and replicas above, and the seconds of each answer below."""
    figure, (above, below) = plt.subplots(2, 1, sharex=True, figsize=(8, 4.6), height_ratios=(1, 1.3))
    at, callers, counts = (np.array(row) for row in zip(*load.counts, strict=True))
    above.step(at, callers, where="post", color="#999", label="callers")
    above.step(at, counts, where="post", color="#c2410c", linewidth=2, label="replicas of the region VAE")
    above.set_ylim(0, MOST + 1)
    above.legend(loc="upper right", frameon=False)
    start, spent, _ = zip(*load.answers, strict=True)
    windows = np.arange(0, max(start), 4.0)
    groups = [np.array([s for t, s in zip(start, spent, strict=True) if low <= t < low + 4]) for low in windows]
    kept = [(low + 2, group) for low, group in zip(windows, groups, strict=True) if len(group)]
    for share, style in ((50, "-"), (95, ":")):
        said = "median" if share == 50 else f"{share} %"
        values = [1e3 * np.percentile(group, share) for _, group in kept]
        below.plot([middle for middle, _ in kept], values, style, color="#1d4ed8", label=said)
    below.set_ylim(0)
    below.set_ylabel("ms an answer")
    below.set_xlabel("seconds")
    below.legend(loc="upper right", frameon=False)
    for one in (above, below):
        one.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(FIGURE, metadata={"Date": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--many-s", type=float, default=120, help="seconds at most until three replicas answer")
    parser.add_argument("--most-s", type=float, default=240, help="seconds at most until one is left")
    args = parser.parse_args()
    told = {"checkpoint": str(SHIPPED / "region_vae"), "bank": str(SHIPPED / "bank"), "scale": {"hybrids": SCALE}}
    os.environ.setdefault("RAY_worker_niceness", "0")
    ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level="ERROR", num_cpus=4)
    try:
        serve.start(http_options={"host": "127.0.0.1", "port": PORT})
        serve.run(build(Config.model_validate(told)), name="bench", route_prefix="/")
        load, when = Load(), {}
        try:
            time.sleep(20)
            load.asking, when["eight_callers_from_s"] = MOST, round(load.now(), 1)
            when["three_replicas_at_s"] = load.until(3, args.many_s)
            time.sleep(30)
            load.asking, when["one_caller_from_s"] = 1, round(load.now(), 1)
            when["one_replica_at_s"] = load.until(1, args.most_s)
            time.sleep(15)
        finally:
            load.stop()
    finally:
        serve.shutdown()
        ray.shutdown()
    draw(load)
    wrong = [status for _, _, status in load.answers if status != 200]
    result = when | {"answers": len(load.answers), "failed": len(wrong), "scale": SCALE, "load": os.getloadavg()[0]}
    result["replicas"] = [[round(at, 1), count] for at, count in changes(load.counts)]
    print(json.dumps(result))
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")


def changes(counts):
    """Return when the number of replicas changed, and to how many."""
    found = []
    for at, _, count in counts:
        if not found or found[-1][1] != count:
            found.append((at, count))
    return found


if __name__ == "__main__":
    main()
