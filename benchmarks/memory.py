"""Peak memory of the driver and of a worker as a table grows: rows by repetition with new ids, through jobs.export.

python -m benchmarks.memory [--rows 10000 100000 1000000]
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa

from rupantara import schema
from rupantara.imaging import codec
from rupantara.storage import manifest, tables
from rupantara.storage.recipe import Recipe
from rupantara.synthetic import draw_face

PART_ROWS = 1000


def write_faces(folder, rows):
    """Write a faces table of one drawn face under new ids."""
    image = codec.encode_jpeg(draw_face("human", 0, size=64).image, 80)
    running = manifest.begin(
        folder, "faces", Recipe("curate", 0, {"rows": rows}), version=schema.VERSION, overwrite=False
    )
    for index in range(rows // PART_ROWS):
        ids = [f"{index * PART_ROWS + i:032x}-0" for i in range(PART_ROWS)]
        columns = {"face_id": ids, "image": [image] * PART_ROWS, "split": ["train"] * PART_ROWS}
        missing = {f.name: pa.nulls(PART_ROWS, f.type) for f in schema.FACES if f.name not in columns}
        part = pa.table({f.name: columns.get(f.name, missing.get(f.name)) for f in schema.FACES}, schema=schema.FACES)
        tables.write_part(folder, running.fingerprint, index, part, PART_ROWS)
    tables.commit_parts(folder, running, rows // PART_ROWS, 0.0)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    args = parser.parse_args()
    results = []
    for rows in args.rows:
        with tempfile.TemporaryDirectory() as folder:
            write_faces(f"{folder}/faces", rows)
            command = ["jobs.export", "--table", f"{folder}/faces", "--export", f"{folder}/tars", "--workers", "2"]
            subprocess.run([sys.executable, "-m", *command], check=True, capture_output=True)
            stats = json.loads(Path(f"{folder}/tars/stats.json").read_text())
        kept = ("driver_peak_mib", "worker_peak_mib", "parts", "seconds")
        results.append({"rows": rows, **{name: stats[name] for name in kept}})
        print(json.dumps(results[-1]), flush=True)
    Path(__file__).with_name("memory.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
