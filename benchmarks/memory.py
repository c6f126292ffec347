"""Memory of the driver as a table grows: five jobs (plan, streams, reduce step, commit, report) over a stage of rows made ready.

python -m benchmarks.memory [--jobs curate extract generate evaluate reverse_map] [--rows 10000 100000 1000000] [--folder /data/memory]

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

from benchmarks import memory_rows

JOBS = ("curate", "extract", "generate", "evaluate", "reverse_map")
ALLOWED = 1.15


def measure(job, folder, rows):
    """Run one job over so many rows in a process of its own, and return what it took."""
    command = [sys.executable, "-m", "benchmarks.memory", "--one", job, "--rows", str(rows), "--folder", folder]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return {"job": job, "rows": rows, "error": done.stderr.strip().splitlines()[-1][:300]}
    return json.loads(done.stdout.strip().splitlines()[-1])


def one(job, folder, rows):
    """Be that process: the driver of the job."""
    from jobs.runtime import cluster, table_run

    started = time.monotonic()
    config, run = memory_rows.RUNS[job](folder, rows)
    planned = cluster.peak_mib()
    complete = table_run.make(config, run)
    cluster.disconnect()
    counted = {"rows": rows, "made": complete.counts["accepted"], "parts": len(complete.data)}
    seconds = round(time.monotonic() - started, 1)
    print(
        json.dumps(
            {"job": job, **counted, "planned_mib": planned, "driver_peak_mib": cluster.peak_mib(), "seconds": seconds}
        )
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=JOBS)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--folder", default="")
    parser.add_argument("--one", choices=JOBS, default="", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        one(args.one, args.folder, args.rows[0])
        return
    results = []
    for job in args.jobs:
        for rows in args.rows:
            with tempfile.TemporaryDirectory(dir=args.folder or None) as folder:
                memory_rows.write_inputs(job, folder, rows)
                results.append(measure(job, folder, rows))
            print(json.dumps(results[-1]), flush=True)
    peaks = {(r["job"], r["rows"]): r["driver_peak_mib"] for r in results if "error" not in r}
    for job in args.jobs:
        sizes = sorted(rows for name, rows in peaks if name == job)
        if len(sizes) > 1:
            ratio = peaks[job, sizes[-1]] / peaks[job, sizes[0]]
            print(f"{job}: {sizes[-1]} rows take {ratio:.2f} of {sizes[0]} (at most {ALLOWED})")
    path = Path(__file__).with_name("memory.json")
    kept = {(r["job"], r["rows"]): r for r in (json.loads(path.read_text()) if path.exists() else []) if "job" in r}
    kept |= {(r["job"], r["rows"]): r for r in results}
    path.write_text(json.dumps(list(kept.values()), indent=1) + "\n")


if __name__ == "__main__":
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    main()
