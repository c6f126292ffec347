"""A job's own pipeline against a plain process pool over the same stage and parts, each timed from first part to last."""

import multiprocessing
import time
from dataclasses import replace

from jobs.runtime import cli, workers
from rupantara.storage import tables

STAGE = None


def start(make_stage):
    global STAGE
    STAGE = make_stage()


def work(task):
    output, fingerprint, part, columns = task
    rows = part.read(columns)
    return tables.write_part(output, fingerprint, part.index, STAGE(rows), rows.num_rows)


def pool_seconds(make_stage, plan, output, processes, columns=None):
    """Run the plan on a pool of spawned processes; loading the stage is not counted, as the actors' is not."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes, start, (make_stage,)) as pool:
        pool.map(len, [()] * processes * 4)
        pool.map(
            work,
            [(output, "warm" * 3, replace(p, index=i), columns) for i, p in enumerate(plan[:processes])],
            chunksize=1,
        )
        started = time.perf_counter()
        pool.map(work, [(output, "pool" * 3, p, columns) for p in plan], chunksize=1)
        return time.perf_counter() - started


def ray_parts(config, make_stage, plan, output, columns=None):
    """Run the plan through the job's own streaming, after a warming part for each actor, and return what each part took."""
    import ray

    cli.connect()
    warm = [replace(part, index=i) for i, part in enumerate(plan[: config.workers])]
    planned = [*warm, *(replace(part, index=len(warm) + i) for i, part in enumerate(plan))]
    stream = workers.results(config, planned, workers.Work("benchmark", output, "rays" * 3, make_stage, columns))
    parts = [{name: float(value) for name, value in row.items()} for row in stream if row["index"] >= len(warm)]
    ray.shutdown()
    return parts


def steady(parts, workers):
    """Return the rows and the seconds from when all workers were at work: the last to start may take ten seconds longer than the first.

    A part that was under way then counts by the share of its time that came after. ValueError where they never all were.
    """
    begun = [part["ended"] - part["seconds"] for part in parts]
    busy = (
        at for at in sorted(begun) if sum(b <= at < p["ended"] for b, p in zip(begun, parts, strict=True)) >= workers
    )
    since = next(busy, None)
    if since is None:
        raise ValueError(
            f"all {workers} workers must be at work at some time, and never were in {len(parts)} parts: use more --faces"
        )
    rows = sum(
        p["rows"] * max(0.0, p["ended"] - max(b, since)) / p["seconds"] for b, p in zip(begun, parts, strict=True)
    )
    return rows, max(part["ended"] for part in parts) - since


def seconds_of(parts):
    """Return the seconds from the first part's start to the last one's end."""
    return max(part["ended"] for part in parts) - min(part["ended"] - part["seconds"] for part in parts)


def ratio(config, make_stage, plan, folder, rows, columns=None, rounds=2):
    """Return the best speeds of several rounds, pool and Ray in turn, in rows a second, and their ratio."""
    speeds = []
    for _ in range(rounds):
        pool = pool_seconds(make_stage, plan, f"{folder}/pool", config.workers, columns)
        piped = seconds_of(ray_parts(config, make_stage, plan, f"{folder}/ray", columns))
        speeds.append((rows / pool, rows / piped))
    pool, piped = (max(s[i] for s in speeds) for i in (0, 1))
    return {"pool_per_s": round(pool, 1), "ray_per_s": round(piped, 1), "ratio": round(piped / pool, 3)}
