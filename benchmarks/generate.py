"""Bulk hybrids by jobs.generate's own pipeline against the renderer alone in a loop on the same cores, in turns.

The loop has no search, no encoding and no files: `latent` mixes and decodes codes; `exemplar` decodes a person once and lays animals
that were chosen before on the picture. The job prepares each of a bank's animals once in each worker; the ratio counts that against it.
The result is the median of the rounds' ratios.

python -m benchmarks.generate [--renderer latent exemplar] [--faces 96] [--rounds 3] [--checkpoint FOLDER] [--bank FOLDER]
"""

import argparse
import json
import multiprocessing
import os
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch

from actors.sharded_bank import ShardedBank
from benchmarks.pool import ray_parts, steady
from jobs.generate import hybrid
from jobs.runtime import cluster
from rupantara import schema
from rupantara.bank import donors
from rupantara.compute import Compute
from rupantara.faces.arrays import COLUMNS
from rupantara.generation import exemplar, loading
from rupantara.generation.face import BATCH, sample_people
from rupantara.generation.mixing import mix
from rupantara.generation.rendering import MixedCodes, decode, render
from rupantara.imaging import codec
from rupantara.landmarks.regions import REGIONS
from rupantara.storage import manifest, plan

PART_FACES = 8
LOOP_S = 15.0
AMOUNT = 0.8


class Speed(NamedTuple):
    """Pictures a second on all cores, and how long one picture takes a CPU, which other programs on the machine hardly change."""

    per_s: float
    cpu_ms: float


def mixing(loaded, faces):
    """Return what mixes and decodes a batch once, and how many pictures that makes."""
    global_mu, human = (torch.from_numpy(np.stack([getattr(f, n) for f in faces])) for n in ("global_mu", "regions_mu"))
    boxes, amounts = torch.from_numpy(np.stack([f.boxes for f in faces])), torch.full((len(faces), 5), AMOUNT)
    return lambda: decode(loaded.model, global_mu, mix(human, human.flip(0), amounts), boxes, amounts), len(faces)


def laying(loaded, faces, bank):
    """Return what decodes a person and lays one animal of each species on the picture, and how many pictures that makes."""
    found, face = donors.read(bank), faces[0]
    found.show_by(exemplar.animal_decoder(loaded.model))
    points, amounts = face.landmarks(loaded.model.config.size), dict.fromkeys(REGIONS, AMOUNT)
    loans = [
        exemplar.loan(found, face.face_id, points, dict.fromkeys(REGIONS, name), amounts) for name in found.species
    ]
    person = MixedCodes(face, torch.from_numpy(face.regions_mu), torch.zeros(5))

    def once():
        (picture,) = render(loaded.model, [person])
        exemplar.lay([picture] * len(loans), [points] * len(loans), loans)

    return once, 1 + len(loans)


def loop(checkpoint, bank, renderer, seconds):
    """Make pictures again and again on one core: pictures a second, and a second of the CPU's time."""
    torch.set_num_threads(1)
    loaded = loading.load(checkpoint)
    faces = sample_people(loaded, range(BATCH), 0, 0.8)
    once, pictures = mixing(loaded, faces) if renderer == "latent" else laying(loaded, faces, bank)
    done, started, computed = 0, 0.0, 0.0
    while not started or time.perf_counter() - started < seconds:
        once()
        done += pictures
        if not started:
            # The first batch warms up.
            done, started, computed = 0, time.perf_counter(), time.process_time()
    return Speed(done / (time.perf_counter() - started), 1e3 * (time.process_time() - computed) / done)


def alone(args, renderer, cores):
    """Return the speed of the renderer alone on all cores, a process each."""
    with multiprocessing.get_context("spawn").Pool(cores) as pool:
        each = pool.starmap(loop, [(args.checkpoint, args.bank, renderer, LOOP_S)] * cores)
    return Speed(sum(one.per_s for one in each), float(np.mean([one.cpu_ms for one in each])))


def drawn_faces(checkpoint, count):
    """Return rows of a faces table: crops of people drawn from the prior."""
    loaded = loading.load(checkpoint)
    faces = sample_people(loaded, range(count), 0, 0.8)
    codes = [MixedCodes(face, torch.from_numpy(face.regions_mu), torch.zeros(5)) for face in faces]
    size = loaded.model.config.size
    rows = [
        {
            "face_id": face.face_id,
            "domain": "human",
            "species": "human",
            "image": codec.encode_jpeg(picture),
            "landmarks": face.landmarks(size).ravel().tolist(),
        }
        for face, picture in zip(faces, render(loaded.model, codes), strict=True)
    ]
    return pa.Table.from_pylist(rows, schema=schema.FACES)


def bulk(args, renderer, faces, cores, folder):
    """Return the speed of the job's pipeline, from the first part that begins with all workers at work to the last."""
    flags = {"checkpoint": args.checkpoint, "bank": args.bank, "generated": folder}
    config = hybrid.Config(faces="drawn", workers=cores, renderer=renderer, **flags)
    wanted = hybrid.asked(config, tuple(manifest.require(args.bank, "bank").extra["species"]))
    starts = range(0, faces.num_rows, PART_FACES)
    parts = plan.of_rows([faces.slice(start, PART_FACES).select(list(COLUMNS)) for start in starts])
    cluster.connect()
    # The bank's actors end with Ray, which the clock ends.
    bank, compute = ShardedBank.start(args.bank), Compute("cpu", 1)
    make_stage = partial(hybrid.make_stage, config, wanted, None, bank=bank, compute=compute)
    done = ray_parts(config, make_stage, parts, folder, COLUMNS)
    rows, seconds = steady(done, cores)
    return Speed(rows / seconds, 1e3 * sum(part["cpu_s"] for part in done) / sum(part["rows"] for part in done))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", default="pretrained/region_vae")
    parser.add_argument("--bank", default="pretrained/bank")
    parser.add_argument("--renderer", nargs="+", default=["latent", "exemplar"])
    parser.add_argument("--faces", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    args.checkpoint, args.bank = str(Path(args.checkpoint).resolve()), str(Path(args.bank).resolve())
    cores, faces = os.cpu_count() or 1, drawn_faces(args.checkpoint, args.faces)
    results = {}
    for renderer in args.renderer:
        rounds, load = [], round(os.getloadavg()[0], 1)
        for _ in range(args.rounds):
            model = alone(args, renderer, cores)
            with tempfile.TemporaryDirectory() as folder:
                rounds.append((model, bulk(args, renderer, faces, cores, folder)))
            print(renderer, *rounds[-1], flush=True)
        found = {"size": loading.read_config(args.checkpoint).size, "cores": cores, "faces": args.faces}
        found |= {"load": load}
        for name, index in (("alone", 0), ("bulk", 1)):
            found[f"{name}_per_s"] = round(median(r[index].per_s for r in rounds), 1)
            found[f"{name}_cpu_ms"] = round(median(r[index].cpu_ms for r in rounds), 1)
        ratios, cpu = (
            [getattr(r[i], n) / getattr(r[1 - i], n) for r in rounds] for n, i in (("per_s", 1), ("cpu_ms", 0))
        )
        found |= {"ratio": round(median(ratios), 3), "cpu_ratio": round(median(cpu), 3)}
        results[renderer] = {**found, "ratios": [round(one, 3) for one in ratios]}
    print(json.dumps(results))
    path = Path(__file__).with_name("generate.json")
    path.write_text(json.dumps((json.loads(path.read_text()) if path.exists() else {}) | results, indent=1) + "\n")


if __name__ == "__main__":
    main()
