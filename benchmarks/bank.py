"""The bank over actors against FAISS in one process, in one run: exact search by batch size, single queries, approximate search.

    python -m benchmarks.bank [--faces 1000000] [--shards 2] [--features FEATURES] [--json]

One shard with all of the machine's threads, or two with half of them each (`--shards`). Vectors are clustered ones, half of them
around real codes where a features table is given. Ours is a bank on disk, searched through its actors; the peer holds the same
vectors of one region in an IndexFlatIP with as many threads and its BLAS threshold tuned (512, as ours). Queries are new points
of the same clusters, others than those that the index was tuned on.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa

from rupantara import schema
from rupantara.bank import indexes as stage
from rupantara.bank import spec as naming
from rupantara.bank.alignment import Alignment
from rupantara.bank.rows import shard_of
from rupantara.bank.spec import BankSpec
from rupantara.bank.versions import ShardFiles
from rupantara.landmarks.regions import REGIONS
from rupantara.metrics.cosine import unit
from rupantara.storage import manifest, tables
from rupantara.storage.manifest import Manifest
from rupantara.storage.recipe import Recipe

DIM, K = 128, 10
SPECIES = [f"species{i}" for i in range(8)]
REGION = "nose"
TURNS = 5
"""Times that both are measured, by turns; the machine drifts, so the ratio is the median of the turns'."""


def centres(features, rng):
    """Return cluster centres: half of them real codes, where there are some."""
    made = rng.normal(size=(2000, DIM)).astype(np.float32)
    if features:
        codes = schema.dense(tables.read(features, ("regions_mu",), schema="features")["regions_mu"], len(REGIONS), DIM)
        real = unit(codes[:, 1] - codes[:, 1].mean(0))[0] * DIM**0.5
        made[: len(made) // 2] = real[rng.integers(0, len(real), len(made) // 2)]
    return made


def points(middle, count, rng):
    """Return unit vectors around the centres."""
    out = np.empty((count, DIM), np.float32)
    for start in range(0, count, 100_000):
        n = min(100_000, count - start)
        out[start : start + n] = middle[rng.integers(0, len(middle), n)] + 0.7 * rng.normal(size=(n, DIM))
    return out / np.linalg.norm(out, axis=1, keepdims=True)


def write_bank(uri, vectors, shards, index, queries):
    """Write a bank whose regions all hold these vectors (rolled), as jobs.build_bank lays it out, tuned on `queries`; return seconds."""
    started = time.perf_counter()
    spec = BankSpec(DIM, "m" * 64, Alignment.identity(DIM), half=index != "flat", index=index)
    recipe = Recipe(
        "build_bank",
        0,
        {"index": index, "store": "float16" if spec.half else "float32", "target_recall": 0.99},
    )
    ids = np.array([f"{i:032x}-0" for i in range(len(vectors))])
    owner = np.array([shard_of(i, shards) for i in ids])
    files, layout, told = [], [], []
    for shard in range(shards):
        rows = shard_rows(ids[owner == shard], vectors[owner == shard], spec)
        tables.write_part(uri, recipe.fingerprint, shard, rows, rows.num_rows)
        names, settings = {}, ""
        plan = stage.plan_of(rows, spec)
        if plan.factory:
            made = {REGION: stage.build_index(plan, stage.vectors_of(rows, REGION, spec))}
            stage.write_indexes(uri, "bench", (shard, shards), plan, made, rows, {REGION: queries}, spec)
            names, settings = {REGION: naming.index_path("bench", shard, REGION)}, naming.settings_path("bench", shard)
        segment = tables.part_path(recipe.fingerprint, shard)
        layout.append(ShardFiles((segment,), names, settings))
        files.append(manifest.DataFile(segment, rows.num_rows, 1))
    told = stage.index_summary(uri, layout, spec)
    extra = {"version": 1, "layout": [one.as_json() for one in layout], "index": told, "species": {}, "region_dim": DIM}
    extra |= {"model_sha256": spec.model_sha256, "alignment": spec.alignment.as_json()}
    manifest.commit(uri, Manifest("bank", schema.version_of("bank"), recipe, "complete", {}, 0.0, tuple(files), extra))
    return time.perf_counter() - started, told


def shard_rows(ids, vectors, spec):
    """Return a shard's rows: the region that is searched first, the others with one short vector repeated to be small."""
    order = np.lexsort((ids, np.arange(len(ids)) % len(SPECIES)))
    ids, vectors = ids[order], vectors[order]
    kinds = np.array(SPECIES)[np.sort(np.arange(len(ids)) % len(SPECIES))]
    parts = []
    for region in REGIONS:
        rows = vectors if region == REGION else np.repeat(vectors[:1], len(vectors), 0)
        columns = {
            "feature_id": pa.array(np.char.add(ids, f"/{region}")),
            "face_id": pa.array(ids),
            "species": pa.array(kinds),
            "region": pa.array([region] * len(ids)),
            "vector": schema.vector_array(rows).cast(spec.columns.field("vector").type),
        }
        columns |= {name: pa.array(np.ones(len(ids), np.float32)) for name in ("norm", "mean", "std")}
        parts.append(pa.table(columns, schema=spec.columns))
    return pa.concat_tables(parts)


def rate(search, queries, least_s=1.5):
    """Return queries a second over at least some seconds."""
    search(queries)
    started, done = time.perf_counter(), 0
    while time.perf_counter() - started < least_s:
        search(queries)
        done += len(queries)
    return done / (time.perf_counter() - started)


def median_ms(search, queries, count=60):
    """Return the median of single queries in milliseconds."""
    times = []
    for i in range(count):
        started = time.perf_counter()
        search(queries[i : i + 1])
        times.append(time.perf_counter() - started)
    return float(np.median(times)) * 1000


def main():
    import ray

    from actors.sharded_bank import ShardedBank
    from jobs.runtime import cli

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=int, default=1_000_000)
    parser.add_argument("--shards", type=int, default=2)
    parser.add_argument("--features", default="")
    parser.add_argument("--batches", type=int, nargs="+", default=[64, 256, 1024])
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    middle = centres(args.features, rng)
    vectors, queries = points(middle, args.faces, rng), points(middle, 2048, rng)
    threads = os.cpu_count() or 1
    faiss.omp_set_num_threads(threads)
    flat = faiss.IndexFlatIP(DIM)
    flat.add(vectors)
    cli.connect()
    result = {"faces": args.faces, "shards": args.shards, "threads": threads, "real_centres": bool(args.features)}
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("flat", "auto"):
            uri = f"{folder}/{kind}"
            seconds, told = write_bank(uri, vectors, args.shards, kind, points(middle, 512, rng))
            client = ShardedBank.start(uri, threads=max(1, threads // args.shards))
            ours = lambda q, c=client: c.search(q, REGION, K, vectors=False)  # noqa: E731
            theirs = lambda q: flat.search(q, K)  # noqa: E731
            found = {"index": told, "write_and_build_s": round(seconds, 1)}
            for batch in args.batches:
                part = queries[:batch]
                turns = [(rate(theirs, part), rate(ours, part)) for _ in range(TURNS)]
                peer, mine = np.median(turns, axis=0)
                found[f"batch_{batch}"] = {
                    "ours_qps": round(mine),
                    "faiss_flat_qps": round(peer),
                    "ratio": round(float(np.median([b / a for a, b in turns])), 3),
                }
            single = median_ms(theirs, queries), median_ms(ours, queries)
            found["single_p50_ms"] = {
                "faiss_flat": round(single[0], 2),
                "ours": round(single[1], 2),
                "over": round(single[1] - single[0], 2),
            }
            truth = flat.search(queries[:512], K)[1]
            named = client.search(queries[:512], REGION, K, vectors=False).ids
            same = [
                len({int(i.partition("-")[0], 16) for i in a} & set(b.tolist()))
                for a, b in zip(named, truth, strict=True)
            ]
            found["recall_at_10"] = round(float(np.mean(same)) / K, 4)
            result[kind] = found
            client.close()
            print(json.dumps({kind: found}))
    ray.shutdown()
    path = Path(__file__).with_suffix(".json")
    kept = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(kept | {f"shards_{args.shards}": result}, indent=1) + "\n")


if __name__ == "__main__":
    main()
