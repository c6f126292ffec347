"""Extraction through jobs.extract's pipeline against a process pool, and against the bare networks in a loop.

python -m benchmarks.extract --faces FACES --weights FOLDER [--count 1536]
"""

import argparse
import json
import os
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from benchmarks.pool import ratio
from jobs import extract
from rupantara import schema
from rupantara.compute import Compute
from rupantara.features import extractors
from rupantara.stages.extract import COLUMNS
from rupantara.storage import tables


def bare_per_s(spec, source, table, seconds=12.0):
    """Run the network alone over one prepared batch, again and again, on all cores: faces a second."""
    torch.set_num_threads(os.cpu_count() or 1)
    extractor = extractors.EXTRACTORS[spec.name](spec, source)
    side = 112 if spec.name == "arcface" else 224
    batch = torch.rand(spec.batch_size, 3, side, side).mul(255).to(extractor._dtype)
    if side == 224:
        batch = batch.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        extractor._model(batch)
        started, done = time.perf_counter(), 0
        while time.perf_counter() - started < seconds:
            extractor._model(batch)
            done += spec.batch_size
        return done / (time.perf_counter() - started)


def measure(args, texts, folder, count):
    """Measure one choice of extractors: the pipeline over the pool, and the pipeline's speed."""
    workers = os.cpu_count() or 1
    config = extract.Config(faces=args.faces, features=folder, weights=args.weights, extractors=texts, workers=workers)
    run = extract.build(config)
    plan, make_stage = run.plan, partial(run.make_stage, compute=Compute())
    rows, chosen = 0, []
    for part in plan:
        if rows >= count:
            break
        table = tables.read_file(part.table, part.file, ("domain", "reject"))
        if schema.accepted(table)["domain"].to_pylist().count("human") == table.num_rows:
            chosen.append(replace(part, index=len(chosen)))
            rows += table.num_rows
    return {"faces": rows, **ratio(config, make_stage, chosen, folder, rows, COLUMNS)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--count", type=int, default=1536)
    args = parser.parse_args()
    results = {}
    cases = (("arcface", args.count), ("vggface_random:precision=bf16:batch_size=16", args.count // 5))
    for text, count in cases:
        spec = extractors.parse(text)
        with tempfile.TemporaryDirectory() as folder:
            measured = measure(args, (text,), folder, count)
        bare = bare_per_s(spec, extractors.ExtractorNetworks(weights=args.weights), args.faces)
        measured |= {"bare_loop_per_s": round(bare, 1), "over_bare_loop": round(measured["ray_per_s"] / bare, 3)}
        results[spec.name] = measured
    print(json.dumps(results))
    Path(__file__).with_name("extract.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
