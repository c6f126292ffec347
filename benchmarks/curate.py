"""Curation through jobs.curate's pipeline against a plain process pool over the same stage and parts.

python -m benchmarks.curate [--photos FOLDER --weights FOLDER] [--count 1024]
"""

import argparse
import json
import multiprocessing
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from jobs import cli, curate, parts
from rupantara.storage import tables, uris
from rupantara.synthetic import write_photographs

STAGE = None


def start(make_stage):
    global STAGE
    STAGE = make_stage()


def work(task):
    output, fingerprint, part = task
    return tables.write_part(output, fingerprint, part.index, STAGE(part.rows), part.rows.num_rows)


def pool_seconds(make_stage, plan, output, processes):
    """Run the plan on a pool of spawned processes; loading the stage is not counted, as the actors' is not."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes, start, (make_stage,)) as pool:
        pool.map(len, [()] * processes * 4)
        pool.map(work, [(output, "warm" * 3, replace(p, index=i)) for i, p in enumerate(plan[:processes])], chunksize=1)
        started = time.perf_counter()
        pool.map(work, [(output, "pool" * 3, p) for p in plan], chunksize=1)
        return time.perf_counter() - started


def ray_seconds(config, make_stage, plan, output):
    """Run the plan through the job's own streaming, actors started and warm in the same way, by the parts' own clock."""
    import ray

    cli.connect()
    stream = parts.results(config, plan, make_stage, output, "curate", "rays" * 3, None)
    ends = [(float(row["ended"]), float(row["seconds"])) for row in stream]
    ray.shutdown()
    first = min(end - seconds for end, seconds in ends)
    return max(end for end, _ in ends) - first


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", default="")
    parser.add_argument("--weights", default="")
    parser.add_argument("--count", type=int, default=1024)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        photos = args.photos or f"{folder}/photos"
        if not args.photos:
            write_photographs(
                lambda p, d: uris.write_bytes(f"{photos}/{p}", d), humans=args.count // 4, per_species=args.count // 16
            )
        config = curate.Config(photos=photos, faces=f"{folder}/faces", weights=args.weights, part_photos=32)
        _, plan, make_stage, _ = curate.build(config)
        step = max(1, len(plan) * 32 // args.count)
        plan = [replace(p, index=i) for i, p in enumerate(plan[::step][: args.count // 32])]
        photos_in = sum(p.rows.num_rows for p in plan)
        workers = os.cpu_count() or 1
        rounds = []
        for _ in range(2):
            pool = pool_seconds(make_stage, plan, f"{folder}/a", workers)
            piped = ray_seconds(replace(config, workers=workers), make_stage, plan, f"{folder}/b")
            rounds.append((photos_in / pool, photos_in / piped))
    pool_speed, ray_speed = (max(r[i] for r in rounds) for i in (0, 1))
    result = {
        "photographs": photos_in,
        "workers": workers,
        "pool_per_s": round(pool_speed, 1),
        "ray_per_s": round(ray_speed, 1),
        "ratio": round(ray_speed / pool_speed, 3),
    }
    print(json.dumps(result))
    Path(__file__).with_name("curate.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
