"""What a linear probe reads of sex and age in a face's vector, and whether pictures made of the vector show the same.

    python -m benchmarks.vector_attributes --faces FACES --features FEATURES --metrics METRICS [--vectors arcface vggface_random]

FACES name `sex` (0 male, 1 female) and `age` in their attributes, as UTKFace's file names do. The probes are a logistic and a ridge
regression on the standardized vectors of the train split's adults (16 to 70), their penalties chosen there by five folds: a vector tells at
least what they read. They are judged on adults of test and validation, beside the commonest sex and the median age. METRICS, of
jobs.evaluate_inversion on the test split, hold MobileFaceNet's vectors of the reconstructions, and the same probe reads those; P is
McNemar's exact test of a method against the vector that it was made from, on the same faces. A decoder that was trained for
identity was trained by the network that is read here. Prints Markdown; writes benchmarks/vector_attributes.json.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import binomtest

from rupantara import schema
from rupantara.metrics.interval import normal_interval, wilson_interval
from rupantara.reports import inversion
from rupantara.stages.decoder_rows import distinct, usable, vectors_of
from rupantara.storage import manifest, tables

ADULT = (16.0, 70.0)
LOGISTIC, RIDGE, FOLDS = (0.002, 0.01, 0.05, 0.2), (0.01, 0.05, 0.2, 1.0), 5
"""Penalties to choose from, on the mean loss of standardized vectors."""


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
    weights = torch.linalg.solve(x.T @ x + penalty * len(x) * torch.eye(x.shape[1]), x.T @ (y - y.mean()))
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


class Probes:
    """Linear probes of standardized vectors."""

    def __init__(self, vectors, labels):
        """Fit on vectors [n, dim] and labels [n, 2]."""
        self.mean, self.spread = vectors.mean(0), vectors.std(0).clamp_min(1e-6)
        x, (sex, age) = self._standard(vectors), labels.T
        self.sex = chosen(logistic, F.binary_cross_entropy_with_logits, x, sex, LOGISTIC)
        self.age = chosen(ridge, F.mse_loss, x, age, RIDGE)

    def _standard(self, vectors):
        return (vectors - self.mean) / self.spread

    def female(self, vectors):
        """Say of each vector whether it is a woman's."""
        return read(self.sex, self._standard(vectors)) > 0

    def years(self, vectors):
        """Estimate each vector's age."""
        return read(self.age, self._standard(vectors))


def share(right):
    """Return a share and its 95 % interval."""
    found = wilson_interval(int(right.sum()), len(right))
    return {"value": found.value, "low": found.low, "high": found.high, "faces": len(right)}


def mean_error(errors):
    """Return a mean and its 95 % interval."""
    found = normal_interval(len(errors), float(errors.sum()), float((errors**2).sum()))
    return {"value": found.value, "low": found.low, "high": found.high, "faces": len(errors)}


def split(table, name, labels, splits):
    """Return ids, vectors and labels of some splits."""
    rows = usable(table, (name,), "")
    rows = rows.filter(np.isin(rows["split"].to_pylist(), splits) & np.isin(rows["face_id"].to_pylist(), list(labels)))
    ids = rows["face_id"].to_pylist()
    return ids, torch.from_numpy(vectors_of(rows, name)).double(), torch.tensor([labels[i] for i in ids]).double()


def measure(table, name, labels):
    """Return a vector's readings on held-out adults, and the probes."""
    _, vectors, known = split(table, name, labels, ["train"])
    probes, middle, common = Probes(vectors, known), known[:, 1].median(), known[:, 0].mean() > 0.5
    trained = len(vectors)
    _, vectors, known = split(table, name, labels, ["val", "test"])
    out = {
        "train_faces": trained,
        "sex": share(probes.female(vectors) == known[:, 0].bool()),
        "commonest_sex": share(known[:, 0].bool() == common),
        "age_error": mean_error((probes.years(vectors) - known[:, 1]).abs()),
        "median_age_error": mean_error((middle - known[:, 1]).abs()),
    }
    return out, probes


def reconstructions(metrics, table, labels, probes):
    """Return how often the probe reads the right sex: in the vectors of the test split, and in each method's pictures of the same faces."""
    ids, vectors, known = split(table, "arcface", labels, ["test"])
    own = dict(zip(ids, zip(known[:, 0].bool().tolist(), probes.female(vectors).tolist(), strict=True), strict=True))
    out = {}
    for method, rows in inversion.by_method(metrics).items():
        rows = rows.filter(np.isin(rows["face_id"].to_pylist(), ids))
        true, told = torch.tensor([own[i] for i in rows["face_id"].to_pylist()]).T
        female = probes.female(torch.tensor(schema.dense(rows["mobilefacenet"], 128)).double())
        if not out:
            out["the vector itself"] = readings(told, true, told)
        out[inversion.TITLES.get(method, "the photograph, of the decoders' size")] = readings(female, true, told)
    return out


def readings(female, true, told):
    """Return the shares that are right, of women and men too, and P against what the vector told."""
    right, vector = female == true, told == true
    better, worse = int((right & ~vector).sum()), int((~right & vector).sum())
    p = binomtest(better, better + worse).pvalue if better + worse else 1.0
    return {"right": share(right), "women": share(right[true]), "men": share(right[~true]), "p": float(p)}


def percent(found):
    return f"{100 * found['value']:.1f} % ({100 * found['low']:.1f} to {100 * found['high']:.1f})"


def years(found):
    return f"{found['value']:.1f} ({found['low']:.1f} to {found['high']:.1f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", required=True)
    parser.add_argument("--features", required=True)
    parser.add_argument("--metrics", required=True)
    parser.add_argument("--vectors", nargs="+", default=["arcface"])
    args = parser.parse_args()
    labels = labels_of(args.faces)
    table = distinct(tables.read(args.features, ("face_id", "domain", "split", *args.vectors), schema="features"))
    kinds = {"faces": args.faces, "features": args.features, "inversions": args.metrics}
    out = {"fingerprints": {kind: manifest.require(uri, kind).fingerprint for kind, uri in kinds.items()}}
    out |= {"vectors": {}}
    print(
        "| vector | sex, held-out adults | commonest sex | error of the age, years | of the median |\n"
        + "|---" * 5
        + "|"
    )
    for name in args.vectors:
        found, probes = measure(table, name, labels)
        out["vectors"][name] = found
        if name == "arcface":
            out["reconstructions"] = reconstructions(args.metrics, table, labels, probes)
        ages = f"{years(found['age_error'])} | {years(found['median_age_error'])}"
        print(
            f"| {name} | {percent(found['sex'])} of {found['sex']['faces']} | {percent(found['commonest_sex'])} | {ages} |"
        )
    print("\n| read by the probe of arcface | right sex | women | men | P |\n|---|---|---|---|---|")
    for name, row in out.get("reconstructions", {}).items():
        of = f"{percent(row['right'])} of {row['right']['faces']} | {percent(row['women'])} | {percent(row['men'])}"
        print(f"| {name} | {of} | {row['p']:.2g} |")
    Path(__file__).with_suffix(".json").write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
