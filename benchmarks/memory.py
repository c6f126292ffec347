"""Memory of the driver as a table grows: five jobs (plan, streams, reduce step, commit, report), with stages that emit rows made ready.

python -m benchmarks.memory [--jobs curate extract generate evaluate reverse_map] [--rows 10000 100000 1000000] [--folder /data/memory]
python -m benchmarks.memory --real --rows 10000       with the jobs' own stages
PART_ROWS=4096 python -m benchmarks.memory …           with other parts than those of 256 rows

A million rows should take at most 15 % more than ten thousand.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import memory_jobs, memory_rows

ALLOWED = 1.15
FILE = Path(__file__).with_name("memory.json")


def measure(job, folder, rows, real):
    """Run one job over so many rows in a process of its own, and return what it took."""
    command = [sys.executable, "-m", "benchmarks.memory", "--one", job, "--rows", str(rows), "--folder", folder]
    done = subprocess.run(command + ["--real"] * real, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{job} over {rows} rows: {done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def one(job, folder, rows, real):
    """Be that process: the driver of the job."""
    from jobs.runtime import cluster, table_run

    started = time.monotonic()
    config, run = memory_jobs.of(job, folder, real)
    planned = cluster.peak_mib()
    complete = table_run.make(config, run)
    cluster.disconnect()
    made = sum((complete.counts["accepted"], *complete.counts["rejected"].values()))
    found = {"job": job, "stage": "real" if real else "ready", "rows": rows, "made": made, "parts": len(complete.data)}
    seconds = round(time.monotonic() - started, 1)
    print(json.dumps({**found, "planned_mib": planned, "driver_peak_mib": cluster.peak_mib(), "seconds": seconds}))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", nargs="+", choices=memory_jobs.JOBS, default=list(memory_jobs.JOBS))
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--real", action="store_true", help="run the jobs' own stages")
    parser.add_argument("--folder", default="")
    parser.add_argument("--one", choices=memory_jobs.JOBS, default="", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        one(args.one, args.folder, args.rows[0], args.real)
        return
    for job in args.jobs:
        peaks = []
        for rows in args.rows:
            with tempfile.TemporaryDirectory(dir=args.folder or None) as folder:
                memory_rows.write_inputs(job, folder, rows, args.real)
                found = measure(job, folder, rows, args.real)
            peaks.append(found["driver_peak_mib"])
            print(json.dumps(found), flush=True)
            keep(found)
        if len(peaks) > 1:
            ratio = round(peaks[-1] / peaks[0], 2)
            print(f"{job}: {args.rows[-1]} rows take {ratio} of {args.rows[0]} (at most {ALLOWED})", flush=True)


def keep(found):
    """Put a result in the place of the one before of the same job, stage and size."""
    kept = {} if not FILE.exists() else {key(one): one for one in json.loads(FILE.read_text()) if "stage" in one}
    kept[key(found)] = found
    order = list(memory_jobs.JOBS)
    rows = sorted(kept.values(), key=lambda one: (order.index(one["job"]), one["stage"], one["rows"], one["parts"]))
    FILE.write_text(json.dumps(rows, indent=1) + "\n")


def key(one):
    return one["job"], one["stage"], one["rows"], one["parts"]


if __name__ == "__main__":
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    main()
