"""Do region features name the species of animals that they have not seen? A table by region, from a features table.

    python -m benchmarks.region_features --faces FACES --features FEATURES [--vectors region_features] [--json FILE]

Five folds; near-duplicates and series of one source (`training.photo_groups`) lie in one fold. `vote`: five neighbours by cosine in a
space; `means`: the nearest class mean by cosine in the space `within`; both fitted on the other folds alone. Species count alike.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from rupantara import schema
from rupantara.bank import spaces
from rupantara.imaging import codec
from rupantara.landmarks.regions import REGIONS
from rupantara.storage import manifest, tables
from rupantara.training.photo_groups import folds, group, thumbnail

FOLDS, NEIGHBOURS = 5, 5


def read(faces: str, features: str, column: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return codes [n, 5, dim], species [n] and folds [n] of the animals that both tables hold."""
    columns = ("face_id", "domain", "species", column)
    animals = schema.where(tables.read(features, columns, schema="features"), domain="animal")
    table = schema.whole(animals, column)
    dim = table.schema.field(column).type.list_size // len(REGIONS)
    place = {name: i for i, name in enumerate(table["face_id"].to_pylist())}
    codes = schema.dense(table[column], len(REGIONS), dim).astype(np.float32)
    species, thumbnails, sources = np.array(table["species"].to_pylist()), {}, {}
    for file in manifest.require(faces, "faces").data:
        ids = set(tables.read_file(faces, file.path, ("face_id",))["face_id"].to_pylist())
        if ids & place.keys():
            rows = schema.where_id(tables.read_file(faces, file.path, ("face_id", "uri", "image")), ids & place.keys())
            for row in rows.to_pylist():
                thumbnails[place[row["face_id"]]] = thumbnail(codec.decode_jpeg(row["image"]))
                sources[place[row["face_id"]]] = row["uri"].rpartition("/")[2].partition("__")[0]
    kept = sorted(thumbnails)
    groups = group(np.stack([thumbnails[i] for i in kept]), [sources[i] for i in kept])
    return codes[kept], species[kept], folds(groups, FOLDS)


def balanced(right: np.ndarray, species: np.ndarray) -> float:
    """Return the mean over species of the share that is right."""
    return float(np.mean([right[species == name].mean() for name in np.unique(species)]))


def measure(codes: np.ndarray, species: np.ndarray, fold: np.ndarray) -> dict[str, list[float]]:
    """Return each measure's accuracy by region."""
    names, label = np.unique(species, return_inverse=True)
    right = {
        name: np.zeros((len(codes), len(REGIONS)), bool)
        for name in ("vote raw", "vote pooled", "vote within", "means within")
    }
    for held in range(FOLDS):
        seen, new = fold != held, fold == held
        fitted = spaces.fit({name: spaces.SpaceSums.update(codes[seen & (species == name)]) for name in names})
        for space in spaces.RANKING:
            known, asked = (fitted.space(space).units(codes[at], "animal") for at in (seen, new))
            for r in range(len(REGIONS)):
                near = asked[:, r] @ known[:, r].T
                at = np.argsort(-near, axis=1)[:, :NEIGHBOURS]
                votes = np.zeros((len(asked), len(names)))
                np.add.at(
                    votes, (np.arange(len(asked))[:, None], label[seen][at]), 1 + 1e-3 * np.take_along_axis(near, at, 1)
                )
                right[f"vote {space}"][new, r] = votes.argmax(1) == label[new]
                if space == "within":
                    means = np.stack([known[label[seen] == c, r].mean(0) for c in range(len(names))])
                    means /= np.linalg.norm(means, axis=1, keepdims=True)
                    right["means within"][new, r] = (asked[:, r] @ means.T).argmax(1) == label[new]
    return {name: [round(balanced(one[:, r], species), 3) for r in range(len(REGIONS))] for name, one in right.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("faces", "features"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--vectors", default="region_features")
    parser.add_argument("--json", default="")
    given = parser.parse_args()
    codes, species, fold = read(given.faces, given.features, given.vectors)
    found = measure(codes, species, fold)
    counts = {name: int((species == name).sum()) for name in np.unique(species)}
    print(f"{len(codes)} animals: {counts}")
    print("| measure | " + " | ".join(REGIONS) + " |\n| --- |" + " --- |" * len(REGIONS))
    for name, values in found.items():
        print(f"| {name} | " + " | ".join(f"{v:.2f}" for v in values) + " |")
    if given.json:
        Path(given.json).write_text(json.dumps({"animals": counts, "regions": list(REGIONS), **found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
