"""What sex and age a vector tells, and what the textures that are made of it show to a judge that knows pixels alone.

    python -m benchmarks.apparent_attributes --faces FACES --features FEATURES --decoders NAME=CHECKPOINT/texture …

Adults (16 to 70) whose file names tell sex and age, as UTKFace's do: the judge is fitted on those of the train split and asked about
those of the test split. It is a logistic and a ridge regression on the principal components of the pixels inside the mean face's
hull, 56 x 56, of photographs' own textures; no identity network has a part in it. It looks at the photographs, and at what each decoder,
a ridge regression, and the nearest train face make of the vector; the vector's own row is the vote of the 15 labelled train faces
nearest to it. `AUC` is the share of pairs of a woman and a man that are ordered rightly, wherever the threshold; `strength` how far
women's and men's logits lie apart, over the same of the photographs: errors by pixel draw towards the mean. Prints Markdown; writes
benchmarks/apparent_attributes.json, a result a column of vectors.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from rupantara import schema
from rupantara.evaluation.inversion_baselines import nearest
from rupantara.generation import decoder_loading
from rupantara.landmarks.morph import hull_mask
from rupantara.landmarks.texture import SIDE, rescale
from rupantara.metrics.interval import normal_interval, wilson_interval
from rupantara.storage import manifest, tables
from rupantara.training.choice import distinct
from rupantara.training.decoder_rows import pictures_of, usable, vectors_of
from rupantara.training.ridge import RidgeSums

ADULT = (16.0, 70.0)
LOGISTIC, RIDGE, FOLDS = (0.002, 0.01, 0.05, 0.2), (0.01, 0.05, 0.2, 1.0), 5
"""Penalties to choose from, on the mean loss of standardized components."""
SMALL, COMPONENTS, VOTERS = 56, 120, 15
"""Side of what is judged, px; the principal components; labelled train faces that vote."""


def labels_of(faces):
    """Return sex and age of the adults that tell both: face id -> (sex, age)."""
    rows = schema.accepted(tables.read(faces, ("face_id", "attributes", "reject"), schema="faces")).to_pylist()
    found = {}
    for row in rows:
        told = {pair["name"]: pair["value"] for pair in row["attributes"] or ()}
        if {"sex", "age"} <= set(told) and ADULT[0] <= float(told["age"]) <= ADULT[1]:
            found[row["face_id"]] = (float(told["sex"]), float(told["age"]))
    return found


def logistic(x, y, penalty):
    """Return weights and bias of a penalised logistic regression."""
    weights = torch.zeros(x.shape[1] + 1, dtype=x.dtype, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = F.binary_cross_entropy_with_logits(x @ weights[:-1] + weights[-1], y)
        loss = loss + penalty * (weights[:-1] ** 2).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return weights.detach()


def ridge(x, y, penalty):
    """Return weights and bias of a ridge regression."""
    weights = torch.linalg.solve(
        x.T @ x + penalty * len(x) * torch.eye(x.shape[1], dtype=x.dtype), x.T @ (y - y.mean())
    )
    return torch.cat([weights, y.mean()[None]])


def read(weights, x):
    return x @ weights[:-1] + weights[-1]


def chosen(fit, error, x, y, penalties):
    """Fit by the penalty of the smallest error over folds."""
    fold = torch.arange(len(x)) % FOLDS

    def apart(penalty):
        parts = [(fold != k, fold == k) for k in range(FOLDS)]
        return sum(float(error(read(fit(x[a], y[a], penalty), x[b]), y[b])) for a, b in parts)

    return fit(x, y, min(penalties, key=apart))


def share(right):
    """Return a share and its 95 % interval."""
    found = wilson_interval(int(right.sum()), len(right))
    return {"value": found.value, "low": found.low, "high": found.high, "faces": len(right)}


def mean_error(errors):
    """Return a mean and its 95 % interval."""
    found = normal_interval(len(errors), float(errors.sum()), float((errors**2).sum()))
    return {"value": found.value, "low": found.low, "high": found.high, "faces": len(errors)}


def percent(found):
    return f"{100 * found['value']:.1f} % ({100 * found['low']:.1f} to {100 * found['high']:.1f})"


def in_years(found):
    return f"{found['value']:.1f} ({found['low']:.1f} to {found['high']:.1f})"


def split(table, vector, splits):
    """Return ids, vectors and textures float32 [n, 3, SMALL, SMALL], [-1, 1], of some splits."""
    rows = usable(table, (vector, "texture"), "")
    rows = rows.filter(np.isin(rows["split"].to_pylist(), splits))
    pictures = torch.from_numpy(pictures_of(rows, "texture", SMALL)).permute(0, 3, 1, 2).float() / 127.5 - 1
    return rows["face_id"].to_pylist(), vectors_of(rows, vector), pictures


class Judge:
    """Logits of being a woman's, and years, of textures."""

    def __init__(self, pictures, labelled, labels, mask):
        """Find the components of all pictures, fit on those labelled: sex and age [n, 2]."""
        self.mask = torch.from_numpy(mask > 0)
        pixels = self._pixels(pictures)
        self.mean = pixels.mean(0)
        self.components = torch.linalg.svd(pixels - self.mean, full_matrices=False)[2][:COMPONENTS].T
        found, (sex, age) = self._project(pictures[labelled]), labels.T
        self.spread = found.std(0)
        x = found / self.spread
        self.sex = chosen(logistic, F.binary_cross_entropy_with_logits, x, sex, LOGISTIC)
        self.age = chosen(ridge, F.mse_loss, x, age, RIDGE)

    def _pixels(self, pictures):
        return pictures[:, :, self.mask].flatten(1).double()

    def _project(self, pictures):
        return (self._pixels(pictures) - self.mean) @ self.components

    def __call__(self, pictures):
        """Return the logits and the years [n]."""
        x = self._project(pictures) / self.spread
        return read(self.sex, x), read(self.age, x)


@torch.inference_mode()
def decode(checkpoint, vectors):
    """Return the textures that a decoder makes."""
    model = decoder_loading.load(checkpoint).model
    made = [model(torch.from_numpy(vectors[i : i + 64])).clamp(-1, 1) for i in range(0, len(vectors), 64)]
    return torch.cat([F.interpolate(m, (SMALL, SMALL), mode="area") for m in made])


def by_ridge(train, val, vectors):
    """Return what a ridge regression makes, its penalty chosen on `val`."""
    sums = RidgeSums.empty(vectors.shape[1], 3 * SMALL**2)
    for start in range(0, len(train[1]), 256):
        sums.update(train[1][start : start + 256], train[2][start : start + 256].flatten(1).numpy())
    _, penalty = sums.fit(val[1], val[2].flatten(1).numpy(), vectors.shape[1])
    return torch.from_numpy(sums.solve(penalty).predict(vectors)).unflatten(1, (3, SMALL, SMALL))


def voted(vectors, among, labels):
    """Return logits and years of the labelled vectors nearest to each."""
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (vectors, among)]
    near = torch.from_numpy(np.argsort(-(unit[0] @ unit[1].T), axis=1)[:, :VOTERS].copy())
    sex, age = labels[near].mean(1).T
    return torch.logit(sex, eps=1e-3), age


def judged(logits, years, labels, apart):
    """Return the shares that are judged rightly, the order of pairs, the strength, and the error of the years."""
    sex, age = labels[:, 0].bool(), labels[:, 1]
    women, men, right = logits[sex], logits[~sex], (logits > 0) == sex
    order = torch.sign(women[:, None] - men[None])
    gap = float(women.mean() - men.mean())
    return {
        "right": share(right),
        "women": share(right[sex]),
        "men": share(right[~sex]),
        "auc": float(((order + 1) / 2).mean()),
        "gap": gap,
        "strength": gap / apart if apart else None,
        "age_error": mean_error((years - age).abs()),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", required=True)
    parser.add_argument("--features", required=True)
    parser.add_argument("--decoders", nargs="+", required=True, metavar="NAME=CHECKPOINT")
    args = parser.parse_args()
    decoders = dict(pair.split("=", 1) for pair in args.decoders)
    vector, *others = {decoder_loading.read_config(uri).vector for uri in decoders.values()}
    if others:
        parser.error(f"the decoders must be of one vector, got {', '.join([vector, *others])}")
    labels = labels_of(args.faces)
    columns = ("face_id", "domain", "split", vector, "texture")
    table = distinct(tables.read(args.features, columns, schema="features"))
    train, val = split(table, vector, ["train"]), split(table, vector, ["val"])
    ids, vectors, pictures = split(table, vector, ["test"])
    held, labelled = ([i for i, name in enumerate(names) if name in labels] for names in (ids, train[0]))
    told, known = (
        torch.tensor(rows).double()
        for rows in ([labels[ids[i]] for i in held], [labels[train[0][i]] for i in labelled])
    )
    vectors, pictures = vectors[held], pictures[held]
    points = decoder_loading.load(next(iter(decoders.values()))).model.mean_points.numpy()
    judge = Judge(train[2], labelled, known, hull_mask(rescale(points, SIDE, SMALL), SMALL, SMALL))
    made = {name: decode(uri, vectors) for name, uri in decoders.items()}
    made |= {
        "ridge regression": by_ridge(train, val, vectors),
        "nearest train face": train[2][nearest(vectors, train[1])],
    }
    photographs = judged(*judge(pictures), told, 0)
    apart = photographs["gap"]
    rows = {"the photographs": photographs | {"strength": 1.0}}
    rows |= {name: judged(*judge(textures), told, apart) for name, textures in made.items()}
    rows |= {"the vector, by vote": judged(*voted(vectors, train[1][labelled], known), told, 0)}
    median = mean_error((known[:, 1].median() - told[:, 1]).abs())
    kinds = {"faces": (args.faces, "faces"), "features": (args.features, "features")}
    kinds |= {name: (uri, decoder_loading.MODEL_TYPE) for name, uri in decoders.items()}
    out: dict = {"fingerprints": {name: manifest.require(*at).fingerprint for name, at in kinds.items()}}
    out |= {"labelled_train_faces": len(labelled), "faces": len(held), "median_age_error": median, "rows": rows}
    print(
        "| textures, to the judge | right sex | of women | of men | AUC | strength | error of the age, years |\n"
        + "|---" * 7
        + "|"
    )
    for name, row in rows.items():
        shares = " | ".join(percent(row[key]) for key in ("right", "women", "men"))
        strength = "" if row["strength"] is None else f"{row['strength']:.2f}"
        print(f"| {name} | {shares} | {row['auc']:.3f} | {strength} | {in_years(row['age_error'])} |")
    print(
        f"\n{len(held)} adults; {len(labelled)} labelled train faces; error of the train faces' median age: {in_years(median)}"
    )
    path = Path(__file__).with_suffix(".json")
    kept = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(kept | {vector: out}, indent=1) + "\n")


if __name__ == "__main__":
    main()
