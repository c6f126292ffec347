"""Faces of LFW: whether the photograph's own person is found, and verification from extracted identity vectors.

    python -m benchmarks.verify_lfw --photos LFW
    python -m benchmarks.verify_lfw --faces FACES --features FEATURES [--column identity] [--pairs benchmarks/lfw_pairs.txt]

The first finds a face in every photograph with the networks that ship, and counts those whose subject is the person the photograph is
named after: its face lies within a fifth of the side of the middle, where LFW has it, and no other face that is found lies nearer.

The second compares the pairs of the committed list, 3,000 of one person and 3,000 of two (LFW's own format: name and two numbers, or two
names with a number each): the best threshold's accuracy, and that of thresholds chosen on the other nine tenths, ten times. A pair
of which a face was rejected counts as wrong. `--write-pairs` draws the list anew.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

from rupantara import schema
from rupantara.errors import Rejected
from rupantara.faces.finder import FaceFinder
from rupantara.imaging import codec
from rupantara.storage import tables, uris

PAIRS, SEED, NEAR, TENTHS = 3000, 0, 0.2, 10
LIST = Path(__file__).with_name("lfw_pairs.txt")


def name_of(person, number):
    """Return the file's name of a person's photograph."""
    return f"{person}_{int(number):04d}"


def draw_pairs(names, count, rng):
    """Draw `count` pairs of one person and as many of two, out of names `First_Last_0001`, each once."""
    places = defaultdict(list)
    for name in names:
        places[name[:-5]].append(name)
    same = [(a, b) for rows in places.values() for j, a in enumerate(rows) for b in rows[j + 1 :]]
    same = [same[i] for i in rng.choice(len(same), min(count, len(same)), replace=False)]
    different = set()
    while len(different) < count:
        a, b = sorted(names[int(i)] for i in rng.integers(len(names), size=2))
        if a[:-5] != b[:-5]:
            different.add((a, b))
    return same, sorted(different)


def write_pairs(photos):
    """Draw the list from a folder of LFW."""
    names = sorted(entry.path.rpartition("/")[2].rpartition(".")[0] for entry in uris.list_files(photos))
    same, different = draw_pairs(names, PAIRS, np.random.default_rng(SEED))
    lines = [f"{a[:-5]}\t{int(a[-4:])}\t{int(b[-4:])}" for a, b in sorted(same)]
    lines += [f"{a[:-5]}\t{int(a[-4:])}\t{b[:-5]}\t{int(b[-4:])}" for a, b in different]
    LIST.write_text("\n".join(lines) + "\n")


def read_pairs(file):
    """Read pairs: (of one person, of two)."""
    same, different = [], []
    for line in Path(file).read_text().splitlines():
        parts = line.split("\t")
        if len(parts) == 3:
            same.append((name_of(parts[0], parts[1]), name_of(parts[0], parts[2])))
        elif len(parts) == 4:
            different.append((name_of(*parts[:2]), name_of(*parts[2:])))
    return same, different


def best_threshold(same, different):
    """Return the best mean of both shares of right answers over all thresholds, and the threshold."""
    thresholds = np.linspace(-1, 1, 4001)
    right = (np.searchsorted(np.sort(different), thresholds) / len(different)) + 1
    accuracy = (right - np.searchsorted(np.sort(same), thresholds) / len(same)) / 2
    best = int(np.argmax(accuracy))
    return float(accuracy[best]), float(thresholds[best])


def held_out(same, different):
    """Return the accuracy of thresholds chosen on nine tenths of the pairs, over the last tenth, ten times."""
    tenth = [np.arange(len(scores)) % TENTHS for scores in (same, different)]
    right = 0.0
    for i in range(TENTHS):
        _, threshold = best_threshold(same[tenth[0] != i], different[tenth[1] != i])
        right += ((same[tenth[0] == i] >= threshold).mean() + (different[tenth[1] == i] < threshold).mean()) / 2
    return right / TENTHS


def verify(faces, features, column, pairs):
    """Verify the pairs by the cosine of a column's vectors."""
    rows = schema.accepted(tables.read(faces, ("face_id", "uri", "reject"), schema="faces"))
    named = {}
    for row in rows.to_pylist():
        named[row["uri"].rpartition("/")[2].rpartition(".")[0]] = row["face_id"]
    table = tables.read(features, ("face_id", column), schema="features").to_pydict()
    vectors = {
        i: np.array(v, np.float64) for i, v in zip(table["face_id"], table[column], strict=True) if v is not None
    }

    def score(pair, missing):
        a, b = (vectors.get(named.get(name, "")) for name in pair)
        return missing if a is None or b is None else float(a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-12))

    same, different = read_pairs(pairs)
    scores = np.array([score(pair, -2.0) for pair in same]), np.array([score(pair, 2.0) for pair in different])
    best, threshold = best_threshold(*scores)
    lacking = int((scores[0] == -2).sum() + (scores[1] == 2).sum())
    found = {"column": column, "same": len(same), "different": len(different), "pairs_without_a_face": lacking}
    return found | {
        "best": round(best, 4),
        "threshold": round(threshold, 3),
        "held_out": round(float(held_out(*scores)), 4),
    }


def centres(photos, weights):
    """Count the photographs whose subject is their own person."""
    finder, found, own, lost = FaceFinder(weights), 0, 0, []
    entries = uris.list_files(photos)
    for entry in entries:
        picture = codec.decode(uris.read_bytes(uris.join(photos, entry.path)))
        try:
            faces = finder.find(picture, "human")
        except Rejected:
            lost.append(entry.path)
            continue
        middle = np.array(picture.shape[1::-1]) / 2
        away = [float(np.hypot(*(face.keypoints.mean(0) - middle))) / picture.shape[0] for face in faces]
        found += 1
        mine = away[0] <= min(NEAR, min(away))
        own += mine
        if not mine:
            lost.append(entry.path)
    result = {
        "photographs": len(entries),
        "found": round(found / len(entries), 4),
        "own_person": round(own / len(entries), 4),
    }
    return result | {"others": lost[:20]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", default="", help="folder of LFW, for the first measure")
    parser.add_argument("--write-pairs", action="store_true", help="draw the list of pairs from --photos")
    parser.add_argument("--weights", default="", help="folder of networks other than those that ship")
    parser.add_argument("--faces", default="")
    parser.add_argument("--features", default="")
    parser.add_argument("--column", default="identity")
    parser.add_argument("--pairs", default=str(LIST))
    args = parser.parse_args()
    cv2.setNumThreads(1)
    if args.write_pairs:
        write_pairs(args.photos)
        return
    key = args.column if args.features else "centres"
    result = (
        verify(args.faces, args.features, args.column, args.pairs)
        if args.features
        else centres(args.photos, args.weights)
    )
    print(json.dumps(result))
    kept = Path(__file__).with_suffix(".json")
    old = json.loads(kept.read_text()) if kept.exists() else {}
    kept.write_text(json.dumps({k: v for k, v in old.items() if isinstance(v, dict)} | {key: result}, indent=1) + "\n")


if __name__ == "__main__":
    main()
