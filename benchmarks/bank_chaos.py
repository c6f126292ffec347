"""Shards and a node of the bank are killed under a steady load of queries: wrong answers, errors, latency, time to be whole again.

    python -m benchmarks.bank_chaos [--bank BANK] [--kills 10] [--replicas 1]

A cluster of a head and two nodes on this machine (Ray's own test cluster); the shards lie on the nodes. Each kill is SIGKILL to
one actor's process, every fifth one the removal of a node, after which another joins. Writes benchmarks/bank_chaos.json and .png.
"""

import argparse
import json
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import ray
from ray.cluster_utils import Cluster

from actors.sharded_bank import ShardedBank
from rupantara.bank import versions
from rupantara.bank.index import BankIndex
from rupantara.metrics.cosine import unit

K, QUERIES = 5, 8
WHOLE_TIMEOUT_S = 60.0
SLOW_S = 0.5
"""A query that took longer was held up by the kill: the bank was not whole while it ran."""

QUIET_S = 4.0


class Load:
    """Queries on threads, each recorded: when it began, how long it took, and `right`, `partial`, `wrong` or `error`."""

    def __init__(self, client, index, threads, pause_s):
        rng = np.random.default_rng(0)
        self.queries = unit(rng.normal(size=(QUERIES, index._dim)))[0].astype(np.float32)
        self.expected = index.search(self.queries, "eyes", K)
        self.client, self.records, self.errors, self.halt, self._pause = client, [], [], False, pause_s
        self._lock, self._out = threading.Lock(), {}
        # Every other one takes no partial answers: a shard that stays away is an error to it.
        self._threads = [threading.Thread(target=self._run, args=(i % 2 == 0,), daemon=True) for i in range(threads)]
        for thread in self._threads:
            thread.start()

    def _run(self, allow_partial):
        while not self.halt:
            started = self._out[threading.get_ident()] = time.monotonic()
            try:
                found = self.client.search(
                    self.queries, "eyes", K, vectors=False, allow_partial=allow_partial, timeout_s=20
                )
                same = found.ids.tolist() == self.expected.ids.tolist()
                kind = "partial" if found.partial else "right" if same else "wrong"
            except Exception as error:  # noqa: BLE001
                kind = "error"
                self.errors.append(repr(error)[:300])
            with self._lock:
                self.records.append((started, time.monotonic() - started, kind))
            self._out.pop(threading.get_ident())
            time.sleep(self._pause)

    def since(self, moment):
        """Return the queries begun after a moment."""
        with self._lock:
            return [r for r in self.records if r[0] >= moment]

    def longest_out(self):
        """Return for how long the oldest query that is out has been."""
        return time.monotonic() - min(list(self._out.values()), default=time.monotonic())

    def stop(self):
        """End the threads."""
        self.halt = True
        for thread in self._threads:
            thread.join(timeout=60)


def wait_until_whole(load, killed):
    """Wait until all queries of the last QUIET_S seconds were right and quick, and none is out that was asked long ago."""
    while time.monotonic() - killed < WHOLE_TIMEOUT_S:
        time.sleep(0.1)
        now = time.monotonic()
        recent = load.since(now - QUIET_S)
        answered = len(recent) > 0 and all(r[2] == "right" and r[1] < SLOW_S for r in recent)
        if now - killed > QUIET_S and answered and load.longest_out() < SLOW_S:
            return


def whole_after(records, kills):
    """Return for each kill the seconds until the last query that it spoilt or held up was over."""
    ends = [at for at, _ in kills[1:]] + [float("inf")]
    bad = [(s, s + d) for s, d, kind in records if kind != "right" or d > SLOW_S]
    return [
        max((end - at for start, end in bad if at - 1 <= start < until and end > at), default=0.0)
        for (at, _), until in zip(kills, ends, strict=True)
    ]


def plot(records, kills, path):
    from matplotlib.figure import Figure

    start = records[0][0]
    figure = Figure(figsize=(9, 4.5))
    above, below = figure.subplots(2, sharex=True)
    for kind, colour in (("right", "#3b7ea1"), ("partial", "#e0a030"), ("error", "#c03030"), ("wrong", "black")):
        part = [(s - start, d * 1000) for s, d, k in records if k == kind]
        if part:
            above.plot(*zip(*part, strict=True), ".", markersize=2, color=colour, label=kind)
    above.set(yscale="log", ylabel="latency (ms)", title="Queries while shards and nodes are killed")
    seconds = np.array([int(s - start) for s, _, _ in records])
    bad = np.array([k != "right" for _, _, k in records])
    ticks = np.arange(seconds.max() + 1)
    below.plot(ticks, [100 * bad[seconds == t].mean() if (seconds == t).any() else 0 for t in ticks], color="#c03030")
    below.set(xlabel="seconds", ylabel="not whole (%)")
    for at, what in kills:
        for axes in (above, below):
            axes.axvline(at - start, color="#888", linewidth=0.8, linestyle=":" if what == "shard" else "-")
    above.legend(loc="upper right")
    figure.savefig(path, dpi=110, bbox_inches="tight")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bank", default="pretrained/bank")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    quick = {"health_check_period_ms": 500, "health_check_failure_threshold": 3, "health_check_initial_delay_ms": 500}
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "_system_config": quick, "object_store_memory": 2**28}
    )
    nodes = [cluster.add_node(num_cpus=2, object_store_memory=2**28) for _ in range(2)]
    ray.init(address=cluster.address, namespace="chaos", logging_level="ERROR", log_to_driver=False)
    bank = str(Path(args.bank).resolve()) if "://" not in args.bank else args.bank
    found = versions.latest(bank)
    whole = BankIndex(pa.concat_tables([found.rows(i) for i in range(len(found.shards))]))
    client = ShardedBank.start(bank, replicas=args.replicas)
    load = Load(client, whole, args.threads, pause_s=0.01)
    time.sleep(QUIET_S)
    kills = []
    for number in range(args.kills):
        shard = client._view.handles[number % len(client._view.handles)]
        node = (number + 1) % 5 == 0
        if node:
            killed = time.monotonic()
            cluster.remove_node(nodes.pop(0), allow_graceful=False)
            nodes.append(cluster.add_node(num_cpus=2, object_store_memory=2**28))
        else:
            pid = ray.get(shard[0].pid.remote(), timeout=60)
            killed = time.monotonic()
            os.kill(pid, signal.SIGKILL)
        kills.append((killed, "node" if node else "shard"))
        wait_until_whole(load, killed)
    load.stop()
    print("\n".join(sorted(set(load.errors))))
    kinds = [kind for _, _, kind in load.records]
    right = [d * 1000 for _, d, kind in load.records if kind == "right"]
    spoilt = whole_after(load.records, kills)
    result = {
        "shards": len(client._view.handles),
        "replicas": args.replicas,
        "queries": len(kinds),
        **{kind: kinds.count(kind) for kind in ("right", "partial", "error", "wrong")},
        "p50_ms": round(float(np.percentile(right, 50)), 2),
        "p99_ms": round(float(np.percentile(right, 99)), 2),
        "longest_ms": round(float(max(right)), 1),
        "kills": [{"what": what, "whole_after_s": round(s, 2)} for (_, what), s in zip(kills, spoilt, strict=True)],
    }
    print(json.dumps(result))
    here = Path(__file__)
    name = f"{here.stem}_{args.replicas}"
    here.with_name(f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    plot(load.records, kills, here.with_name(f"{name}.png"))
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main()
