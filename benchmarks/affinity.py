"""Mean affinity by species' mean vectors against the product with every feature, in one run: seconds, and the greatest difference.

    python -m benchmarks.affinity [--queries 1024] [--features 13000 1000000]

Five regions, eight species. The brute force multiplies float32 matrices with all threads and averages the cosines of each species,
128 queries at a time; ours is what `jobs.reverse_map` calls, moments already loaded, as a bank's client has them.
"""

import argparse
import json
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

from rupantara.bank.affinity import mean_affinity

DIM, REGIONS, SPECIES = 128, 5, 8


def unit_rows(count, rng):
    rows = rng.standard_normal((count, DIM), dtype=np.float32) + rng.standard_normal(DIM, dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def brute_force(queries, bank, kinds):
    """Return mean cosines [queries, species] of one region, by one product a species."""
    edges = np.searchsorted(kinds, np.arange(SPECIES + 1))
    parts = []
    for start in range(0, len(queries), 128):
        some = queries[start : start + 128]
        parts.append(np.stack([(some @ bank[low:high].T).mean(1) for low, high in pairwise(edges)], axis=1))
    return np.concatenate(parts)


def best_of(run, times):
    found = []
    for _ in range(times):
        started = time.perf_counter()
        out = run()
        found.append(time.perf_counter() - started)
    return min(found), out


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=1024)
    parser.add_argument("--features", type=int, nargs="+", default=[13_000, 1_000_000])
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    queries = unit_rows(args.queries, rng)
    result = {"queries": args.queries}
    for count in args.features:
        each = count // REGIONS
        kinds = np.sort(rng.integers(0, SPECIES, each))
        banks = [unit_rows(each, rng) for _ in range(REGIONS)]
        means = [
            np.stack([bank[kinds == s].sum(0, dtype=np.float64) / (kinds == s).sum() for s in range(SPECIES)])
            for bank in banks
        ]
        slow, wanted = best_of(
            lambda b=banks, k=kinds: [brute_force(queries, bank, k) for bank in b], 2 if count > 10**5 else 5
        )
        quick, found = best_of(lambda m=means: [mean_affinity(queries, one) for one in m], 200)
        error = max(float(np.abs(a - b).max()) for a, b in zip(wanted, found, strict=True))
        result[str(count)] = {
            "brute_force_s": slow,
            "means_s": quick,
            "ratio": round(slow / quick),
            "greatest_difference": error,
        }
        print(json.dumps({count: result[str(count)]}))
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
