"""Curation through jobs.curate's pipeline against a plain process pool over the same stage and parts.

python -m benchmarks.curate [--photos FOLDER --weights FOLDER] [--count 1024]
"""

import argparse
import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks.pool import ratio
from jobs import curate
from rupantara.storage import uris
from rupantara.synthetic import write_photographs


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
        run, _ = curate.build(config)
        run.prepare()
        plan, make_stage = run.plan, run.make_stage
        step = max(1, len(plan) * 32 // args.count)
        plan = [replace(p, index=i) for i, p in enumerate(plan[::step][: args.count // 32])]
        photos_in = sum(p.read().num_rows for p in plan)
        workers = os.cpu_count() or 1
        measured = ratio(replace(config, workers=workers), make_stage, plan, folder, photos_in)
    result = {"photographs": photos_in, "workers": workers, **measured}
    print(json.dumps(result))
    Path(__file__).with_name("curate.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
