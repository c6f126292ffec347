"""Hybrids for judges who do not know what they look at: sheets of both renderers and of photographs at random, and the score.

    python -m benchmarks.hybrids_judged --faces FACES --checkpoint CHECKPOINT --bank BANK --out FOLDER
    python -m benchmarks.hybrids_judged --out FOLDER --answers judge_1.json judge_2.json

BANK is built with --pictures. People and controls are held out (split test). An answer is {"n": 7, "species": "fox", "face": "one" or
"pasted"}; the key of the sheets is FOLDER/key.json.
"""

import argparse
import json
import random
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa

from benchmarks.hybrids import LocalBank
from rupantara import schema
from rupantara.bank import donors
from rupantara.faces.arrays import COLUMNS, choose_people
from rupantara.generation.hybrid import HybridGenerator, HybridRequest, everywhere
from rupantara.imaging import codec
from rupantara.metrics.species_classes import CLASSES
from rupantara.stages.generate import crops_of
from rupantara.storage import tables

PEOPLE, CONTROLS, SEED = 80, 20, 5
ACROSS, DOWN, SIDE, MARGIN, TITLE = 4, 3, 256, 5, 22


def held_out(faces, domain, count, seed):
    """Return rows of held-out people, or of animals."""
    chosen = choose_people(faces, domain, ["test"], count, seed)
    return pa.concat_tables([schema.where_id(p, chosen) for p in tables.read_parts(faces, COLUMNS, schema="faces")])


def controls(faces):
    """Return photographs: people, and animals of all species."""
    people = held_out(faces, "human", CONTROLS, SEED + 1).to_pylist()
    found, seen = [], Counter()
    for row in held_out(faces, "animal", 3 * CONTROLS, SEED + 1).to_pylist():
        if seen[row["species"]] < -(-CONTROLS // len(CLASSES)) and len(found) < CONTROLS:
            seen[row["species"]] += 1
            found.append(row)
    return [("photograph", row["species"], codec.decode_jpeg(row["image"])) for row in people + found]


def hybrids(args):
    """Return hybrids at full amount in all regions, as many of each species."""
    people, species = crops_of(held_out(args.faces, "human", PEOPLE, SEED)), sorted(CLASSES)
    generator = HybridGenerator(args.checkpoint, LocalBank(args.bank), donors=donors.read(args.bank))
    out = []
    for renderer in ("exemplar", "latent"):
        names = [species[i % len(species)] for i in range(len(people))]
        asked = [
            HybridRequest(person, (name,), everywhere(1.0), renderer=renderer)
            for person, name in zip(people, names, strict=True)
        ]
        made = [one.picture for group in generator.generate(asked) for one in group]
        out += [(renderer, name, picture) for name, picture in zip(names, made, strict=True)]
    return out


def sheets(args):
    """Write the sheets and the key."""
    shown = hybrids(args) + controls(args.faces)
    random.Random(SEED).shuffle(shown)
    folder = Path(args.out)
    folder.mkdir(parents=True, exist_ok=True)
    cell = (TITLE + SIDE + MARGIN, SIDE + 2 * MARGIN)
    for number, start in enumerate(range(0, len(shown), ACROSS * DOWN)):
        sheet = np.full((DOWN * cell[0], ACROSS * cell[1], 3), 255, np.uint8)
        for place, (_, _, picture) in enumerate(shown[start : start + ACROSS * DOWN]):
            top, left = place // ACROSS * cell[0], place % ACROSS * cell[1] + MARGIN
            cv2.putText(
                sheet, str(start + place), (left, top + TITLE - MARGIN), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (0, 0, 0), 1
            )
            sheet[top + TITLE : top + TITLE + SIDE, left : left + SIDE] = codec.resize(picture, SIDE)
        (folder / f"sheet_{number:02d}.png").write_bytes(codec.encode_png(sheet))
    key = [{"n": n, "kind": kind, "species": species} for n, (kind, species, _) in enumerate(shown)]
    (folder / "key.json").write_text(json.dumps(key))
    print(f"{len(shown)} pictures in {args.out}")


def score(args):
    """Print how often each judge named the species, and said that it is one face."""
    key = json.loads(Path(args.out, "key.json").read_text())
    for file in args.answers:
        said = {row["n"]: row for row in json.loads(Path(file).read_text())}
        for kind in ("exemplar", "latent", "photograph"):
            rows = [row for row in key if row["kind"] == kind]
            named = sum(said[row["n"]]["species"] == row["species"] for row in rows)
            one = sum(said[row["n"]]["face"] == "one" for row in rows)
            print(json.dumps({"judge": file, "kind": kind, "pictures": len(rows), "species": named, "one_face": one}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("faces", "checkpoint", "bank"):
        parser.add_argument(f"--{name}", default="")
    parser.add_argument("--out", required=True)
    parser.add_argument("--answers", nargs="*", default=[])
    args = parser.parse_args()
    (score if args.answers else sheets)(args)


if __name__ == "__main__":
    main()
