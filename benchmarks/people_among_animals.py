"""People whom a detector finds in animals' photographs: how well a linear judgement of an identity network's vectors tells them apart.

    python -m benchmarks.people_among_animals --faces FACES [--weights WEIGHTS] [--sheet flagged.png]

The network is MobileFaceNet where WEIGHTS has it, else dlib's, which ships.

FACES is a table of both domains from `jobs.curate --people-among-animals keep`, so that owners are among the animals. A logistic
regression is fitted on four fifths of the identities and judges the last, five times; animals that it takes for people are left out of
the next round's fit, three rounds. What it then takes for people, most sure first, is on the sheet, to be looked at: labels are
wrong there, so no number of this script is an error rate. The coefficients of a fit on everything are printed as
`rupantara.faces.person` holds them.
"""

import argparse
import json
import math
from pathlib import Path

import cv2
import numpy as np
import torch

from rupantara import schema
from rupantara.faces.balance import draw
from rupantara.faces.finder import PERSON
from rupantara.faces.person import describe, load_embedding
from rupantara.imaging import codec
from rupantara.storage import tables

FOLDS, ROUNDS, RIDGE = 5, 3, 1e-3
COLUMNS = ("face_id", "domain", "species", "identity", "image", "keypoints", "reject")


def read(faces, weights):
    """Return what the judge sees of every accepted face, whether its photograph was a person's, its fold, and its row."""
    by, seen, rows = load_embedding(weights), [], []
    for part in tables.read_parts(faces, COLUMNS, schema="faces"):
        found = schema.accepted(part).to_pylist()
        for start in range(0, len(found), 64):
            batch = found[start : start + 64]
            pictures = [codec.decode_jpeg(row["image"]) for row in batch]
            points = [np.array(row["keypoints"], np.float32).reshape(5, 2) for row in batch]
            chips = np.stack([by.chip(*pair) for pair in zip(pictures, points, strict=True)])
            with torch.no_grad():
                vectors = by.network(torch.from_numpy(chips).permute(0, 3, 1, 2).float())
            seen.append(describe(vectors.numpy()))
            rows += [{**row, "image": cv2.resize(p, (96, 96))} for row, p in zip(batch, pictures, strict=True)]
    people = np.array([row["domain"] == "human" for row in rows])
    folds = np.array([int(draw(row["identity"], 0) * FOLDS) for row in rows])
    return np.concatenate(seen), people, folds, rows


def fit(seen, people):
    """Return weights [d] and bias of a logistic regression with both classes weighted alike (Newton's method, ridge)."""
    mean, spread = seen.mean(0), seen.std(0) + 1e-6
    x = np.c_[(seen - mean) / spread, np.ones(len(seen))]
    share, found = people.mean(), np.zeros(x.shape[1])
    weight = np.where(people, 0.5 / share, 0.5 / (1 - share))
    for _ in range(30):
        odds = 1 / (1 + np.exp(-np.clip(x @ found, -30, 30)))
        curve = (x * (weight * odds * (1 - odds) + 1e-6)[:, None]).T @ x / len(x) + RIDGE * np.eye(len(found))
        found -= np.linalg.solve(curve, x.T @ (weight * (odds - people)) / len(x) + RIDGE * found)
    scaled = found[:-1] / spread
    return scaled, found[-1] - scaled @ mean


def judge(seen, people, folds):
    """Return every face's log-odds from fits that have not seen its fold, and which animals were left out of the last fits."""
    odds, left_out = np.zeros(len(seen)), np.zeros(len(seen), bool)
    for _ in range(ROUNDS):
        for fold in range(FOLDS):
            weights, bias = fit(*(part[(folds != fold) & ~left_out] for part in (seen, people)))
            odds[folds == fold] = seen[folds == fold] @ weights + bias
        left_out = ~people & (odds > 0)
    return odds, left_out


def sheet(rows, odds, across=16):
    """Return a picture of faces with their species and log-odds."""
    out = np.zeros((108 * math.ceil(len(rows) / across), 96 * across, 3), np.uint8)
    for i, (row, value) in enumerate(zip(rows, odds, strict=True)):
        y, x = 108 * (i // across), 96 * (i % across)
        out[y : y + 96, x : x + 96] = row["image"]
        cv2.putText(out, f"{row['species']} {value:.1f}", (x, y + 105), cv2.FONT_HERSHEY_PLAIN, 0.7, (255, 255, 255))
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", required=True)
    parser.add_argument("--weights", default="")
    parser.add_argument("--sheet", default="", help="PNG of the animals taken for people, and of the next hundred")
    args = parser.parse_args()
    seen, people, folds, rows = read(args.faces, args.weights)
    odds, left_out = judge(seen, people, folds)
    animals = np.flatnonzero(~people)
    first = animals[np.argsort(-odds[animals])][: int((odds[animals] > PERSON).sum()) + 100]
    if args.sheet:
        picture = sheet([rows[i] for i in first], odds[first])
        Path(args.sheet).write_bytes(codec.encode_png(picture))
    weights, bias = fit(seen[~left_out], people[~left_out])
    print(json.dumps({"weights": [round(float(w), 2) for w in weights], "bias": round(float(bias), 2)}))
    lengths = seen[:, -1]
    result = {
        "people": int(people.sum()),
        "animals": len(animals),
        "people_taken_for_people": round(float((odds[people] > PERSON).mean()), 4),
        "animals_taken_for_people": int((odds[animals] > PERSON).sum()),
        "length_of_vectors_people_1_5_50_percent": np.percentile(lengths[people], [1, 5, 50]).round(2).tolist(),
        "length_of_vectors_animals_50_95_99_percent": np.percentile(lengths[animals], [50, 95, 99]).round(2).tolist(),
    }
    print(json.dumps(result))
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
