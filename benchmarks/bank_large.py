"""Ten million vectors in one process: built in 16 bits with product codes, searched; memory, recall and speed against a scan.

    python -m benchmarks.bank_large [--vectors 10000000]

Clustered vectors are made in chunks and never held whole; the truth of the queries is found in the same pass by FAISS's own scan,
whose time is the peer's.
"""

import argparse
import json
import os
import resource
import time
from pathlib import Path

import faiss
import numpy as np

from benchmarks.bank import DIM, K, points
from rupantara.bank import factory

CHUNK = 500_000
NUM_QUERIES = 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vectors", type=int, default=10_000_000)
    args = parser.parse_args()
    faiss.omp_set_num_threads(os.cpu_count() or 1)
    rng = np.random.default_rng(0)
    middle = rng.normal(size=(20_000, DIM)).astype(np.float32)
    queries = points(middle, NUM_QUERIES, np.random.default_rng(1))
    plan = factory.plan_index(args.vectors, DIM, half=True)
    started = time.perf_counter()
    index = factory.train(plan, points(middle, factory.training_rows(plan, args.vectors), rng))
    trained = time.perf_counter() - started
    added, scanned, best = 0.0, 0.0, np.full((NUM_QUERIES, K), -np.inf, np.float32)
    for start in range(0, args.vectors, CHUNK):
        vectors = points(middle, min(CHUNK, args.vectors - start), rng)
        moment = time.perf_counter()
        factory.add(index, iter([vectors]))
        added += time.perf_counter() - moment
        # What is stored is searched: the truth is of the vectors in 16 bits.
        vectors = vectors.astype(np.float16).astype(np.float32)
        moment = time.perf_counter()
        scores, _ = faiss.knn(queries, vectors, K, faiss.METRIC_INNER_PRODUCT)
        scanned += time.perf_counter() - moment
        best = -np.sort(-np.concatenate([best, scores], axis=1), axis=1)[:, :K]
        print(f"{start + len(vectors)} vectors, {time.perf_counter() - started:.0f} s", flush=True)
    setting = factory.tune(index, queries, best, 0.99)
    data = faiss.serialize_index(index)
    size = len(data)
    del data
    flat = NUM_QUERIES / scanned
    result = {
        "vectors": args.vectors,
        "index": plan.name,
        "train_s": round(trained, 1),
        "add_s": round(added, 1),
        "bytes_a_vector": round(size / args.vectors, 1),
        "peak_rss_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        **{name: value for name, value in setting.as_json().items() if name != "queries_per_s"},
        "queries_per_s": round(setting.queries_per_s),
        "scan_queries_per_s": round(flat, 1),
        "ratio": round(setting.queries_per_s / flat, 1),
    }
    print(json.dumps(result))
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
