"""Reverse mapping of very many faces: time, memory and size as rows grow tenfold, and equality after three kills.

    python -m benchmarks.reverse_map_scale --features FEATURES --bank BANK --folder FOLDER [--rows 100000 1000000]

The rows are real ones of FEATURES (people's `region_features`), again and again with new ids and noise. `jobs.reverse_map` runs over
each table as a user runs it. Then the smallest table is mapped again, killed (SIGKILL) when a quarter, a half and three quarters of
its parts are written, each time started anew, and its files are compared with those of the unbroken run. What is measured already
for as many rows is kept; `--again` measures anew. A tenth of the faces is compared in the spaces but the first, at any size, so that
sizes can be compared (the job's default is 100,000 of a million).
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from rupantara import schema
from rupantara.landmarks.regions import REGIONS
from rupantara.storage import manifest, statistics, tables, uris
from rupantara.storage.recipe import Recipe

COLUMN, PART_ROWS, NOISE = "region_features", 4096, 0.3
"""Noise in standard deviations of each number over people."""
TENTH = 10
RESULT = Path(__file__).with_suffix(".json")


def people(features):
    """Return codes [n, 5, dim] of the table's people, and the field of their column."""
    columns, parts = ("domain", COLUMN), []
    for file in manifest.require(features, "features").data:
        rows = schema.where(tables.read_file(features, file.path, columns), domain="human")
        rows = schema.whole(rows, COLUMN)
        field = rows.schema.field(COLUMN)
        parts.append(schema.dense(rows[COLUMN], len(REGIONS), field.type.list_size // len(REGIONS)))
    return np.concatenate(parts), field


def write(features, folder, rows):
    """Write a features table of so many people, unless it is there."""
    recipe = Recipe("extract", 1, {"rows": rows, "noise": NOISE})
    running = manifest.begin(folder, "features", recipe, version=schema.version_of("features"), overwrite=False)
    if running is None:
        return
    codes, field = people(features)
    rng, real = np.random.default_rng(0), codes.reshape(len(codes), -1).astype(np.float32)
    # One block of noise, of which each part takes other rows: drawing a million rows would take longer than mapping them.
    noise = rng.normal(size=(2 * PART_ROWS, real.shape[1])).astype(np.float32) * (NOISE * real.std(0))
    kept = schema.vector_field(
        COLUMN,
        len(REGIONS),
        codes.shape[2],
        model_sha256=field.metadata[b"model_sha256"].decode(),
        dtype=pa.float16(),
    )
    starts = range(0, rows, PART_ROWS)
    for index, start in enumerate(starts):
        count = min(PART_ROWS, rows - start)
        shift = int(rng.integers(PART_ROWS))
        made = real[(start + np.arange(count)) % len(real)] + noise[shift : shift + count]
        ids = [f"{(start + i) * 0x9E3779B97F4A7C15 % 2**64:016x}{start + i:016x}-0" for i in range(count)]
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(made.astype(np.float16).ravel()), made.shape[1])
        columns = [ids, ["human"] * count, ["human"] * count, ["train"] * count, vectors]
        part = pa.table(columns, schema=schema.features([kept]))
        tables.write_part(folder, running.fingerprint, index, part, count)
    tables.commit_parts(folder, running, len(starts), 0.0, model_sha256="")


def started(table, bank, out, log, workers, others):
    """Start the job in a process group of its own."""
    command = [sys.executable, "-m", "jobs.reverse_map", "--features", table, "--bank", bank, "--affinity", out]
    with Path(log).open("ab") as said:
        settings = ["--workers", str(workers), "--others", str(others)]
        return subprocess.Popen([*command, *settings], stdout=said, stderr=said, start_new_session=True)


def peak_mib(pid, before):
    """Return the most memory that a process has held, MiB; `before` when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return before
    found = [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")]
    return max([before, *found])


def cpu_seconds(pid, seen):
    """Note the processor time of a process and of all that it started, by pid."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        children = [int(c) for file in Path(f"/proc/{pid}/task").glob("*/children") for c in file.read_text().split()]
    except OSError:
        return
    seen[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    for child in children:
        cpu_seconds(child, seen)


def measured(table, bank, out, log, workers, others):
    """Run the job to its end; return seconds of all, of the parts alone, of the processors, and memory."""
    load = os.getloadavg()[0]
    began, process, driver = time.monotonic(), started(table, bank, out, log, workers, others), 0.0
    cpu: dict[int, float] = {}
    while process.poll() is None:
        driver = peak_mib(process.pid, driver)
        cpu_seconds(process.pid, cpu)
        time.sleep(0.25)
    seconds = time.monotonic() - began
    if process.returncode:
        raise SystemExit(f"the job failed, see {log}")
    stats, done = json.loads(Path(out, "stats.json").read_text()), manifest.require(out, "affinity")
    faces = stats["rows_in_this_run"]
    return {
        "faces": faces,
        "workers": workers,
        "others": others,
        "seconds": round(seconds, 1),
        "faces_per_s": round(faces / seconds, 1),
        "parts": len(done.data),
        "parts_s": stats["seconds"],
        "cpu_s": round(sum(cpu.values()), 1),
        "load_before": round(load, 1),
        "driver_peak_mib": round(driver),
        "worker_peak_mib": round(stats["worker_peak_mib"]),
        "rows": done.counts["accepted"],
        "table_bytes": sum(file.bytes for file in done.files),
        "report_bytes": Path(out, "report.html").stat().st_size,
    }


def killed(table, bank, out, log, workers, others, parts):
    """Run the job, killing it at three points; return how many parts were written at each kill."""
    at = []
    for share in (0.25, 0.5, 0.75):
        process = started(table, bank, out, log, workers, others)
        while process.poll() is None and len(list(Path(out).glob("_parts/part-*.parquet"))) < share * parts:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        at.append(len(list(Path(out).glob("_parts/part-*.parquet"))))
        if manifest.read(out) is not None:
            raise SystemExit("killed too late to test anything")
        # Its workers see that the driver is gone.
        time.sleep(5)
    measured(table, bank, out, log, workers, others)
    return at


def equal(one, other):
    """Tell whether two outputs have the same rows, statistics and report, to the bit."""
    first, second = manifest.require(one, "affinity"), manifest.require(other, "affinity")
    names = [file.path for file in first.data] + [statistics.path_of(first.fingerprint), "report.html"]
    if [file.path for file in first.data] != [file.path for file in second.data]:
        return False
    return all(uris.read_bytes(uris.join(one, n)) == uris.read_bytes(uris.join(other, n)) for n in names)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", required=True)
    parser.add_argument("--bank", required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--no-kills", action="store_true")
    parser.add_argument("--again", action="store_true")
    args = parser.parse_args()
    result = json.loads(RESULT.read_text()) if RESULT.exists() and not args.again else {}
    log = f"{args.folder}/job.log"
    for rows in args.rows:
        table, out = f"{args.folder}/features_{rows}", f"{args.folder}/affinity_{rows}"
        write(args.features, table, rows)
        others = rows // TENTH
        if result.get(str(rows), {}).get("others") != others:
            shutil.rmtree(out, ignore_errors=True)
            result[str(rows)] = measured(table, args.bank, out, log, args.workers, others)
            RESULT.write_text(json.dumps(result, indent=1) + "\n")
        print(json.dumps(result[str(rows)]), flush=True)
    if not args.no_kills:
        least, out = min(args.rows), f"{args.folder}/killed"
        shutil.rmtree(out, ignore_errors=True)
        table, whole = f"{args.folder}/features_{least}", f"{args.folder}/affinity_{least}"
        at = killed(table, args.bank, out, log, args.workers, least // TENTH, result[str(least)]["parts"])
        result["killed"] = {"faces": least, "parts_at_the_kills": at, "equal": equal(whole, out)}
        RESULT.write_text(json.dumps(result, indent=1) + "\n")
        print(json.dumps(result["killed"]))


if __name__ == "__main__":
    main()
