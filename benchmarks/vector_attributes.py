"""What a face's vector says of sex and age, as a linear probe reads it: no decoder can show what is not there.

    python -m benchmarks.vector_attributes --faces FACES --features FEATURES [--vectors arcface vggface_random] [--metrics METRICS]

FACES name `sex` (0 male, 1 female) and `age` in their attributes, as UTKFace's paths do. The probes are a logistic and a ridge regression
on the standardized vectors of the train split's adults (16 to 70), judged on those of test and validation, beside the commonest sex and
the median age. With METRICS, of jobs.evaluate_inversion on the test split, the sex probe reads MobileFaceNet's vectors of the
reconstructions too: do they show the sex that the photograph's vector shows? Prints Markdown; writes benchmarks/vector_attributes.json.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from rupantara import schema
from rupantara.metrics.interval import wilson_interval
from rupantara.reports import inversion
from rupantara.stages.decoder_rows import distinct, usable, vectors_of
from rupantara.storage import tables

ADULT = (16.0, 70.0)
LOGISTIC_L2, RIDGE = 0.02, 0.3
"""Penalties, of the mean loss on standardized vectors."""


def labels_of(faces):
    """Return sex and age of the adults that tell both: face id -> (sex, age)."""
    rows = schema.accepted(tables.read(faces, ("face_id", "attributes", "reject"), schema="faces")).to_pylist()
    found = {}
    for row in rows:
        told = {pair["name"]: pair["value"] for pair in row["attributes"] or ()}
        if {"sex", "age"} <= set(told) and ADULT[0] <= float(told["age"]) <= ADULT[1]:
            found[row["face_id"]] = (float(told["sex"]), float(told["age"]))
    return found


class Probes:
    """Linear probes of standardized vectors."""

    def __init__(self, vectors, labels):
        """Fit on vectors [n, dim] and labels [n, 2]."""
        self.mean, self.spread = vectors.mean(0), vectors.std(0).clamp_min(1e-6)
        x, (sex, age) = self._standard(vectors), labels.T
        self.middle, dim = age.mean(), x.shape[1]
        self.age = torch.linalg.solve(x.T @ x + RIDGE * len(x) * torch.eye(dim), x.T @ (age - self.middle))
        self.sex = torch.zeros(dim + 1, dtype=x.dtype, requires_grad=True)
        optimizer = torch.optim.LBFGS([self.sex], max_iter=200, line_search_fn="strong_wolfe")

        def closure():
            optimizer.zero_grad()
            loss = F.binary_cross_entropy_with_logits(x @ self.sex[:-1] + self.sex[-1], sex)
            loss = loss + LOGISTIC_L2 * (self.sex[:-1] ** 2).sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        self.sex = self.sex.detach()

    def _standard(self, vectors):
        return (vectors - self.mean) / self.spread

    def female(self, vectors):
        """Say of each vector whether it is a woman's."""
        return self._standard(vectors) @ self.sex[:-1] + self.sex[-1] > 0

    def years(self, vectors):
        """Estimate each vector's age."""
        return self._standard(vectors) @ self.age + self.middle


def share(right):
    """Return a share and its 95 % interval."""
    found = wilson_interval(int(right.sum()), len(right))
    return {"share": found.value, "low": found.low, "high": found.high, "faces": len(right)}


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
    _, vectors, known = split(table, name, labels, ["val", "test"])
    out = {
        "sex": share(probes.female(vectors) == known[:, 0].bool()),
        "commonest_sex": share(known[:, 0].bool() == common),
        "age_mae": float((probes.years(vectors) - known[:, 1]).abs().mean()),
        "median_age_mae": float((middle - known[:, 1]).abs().mean()),
    }
    return out, probes


def reconstructions(metrics, table, labels, probes):
    """Return, of each method's reconstructions of the test split, how often they show the right sex, and the photograph's reading."""
    ids, vectors, known = split(table, "arcface", labels, ["test"])
    own = dict(zip(ids, zip(known[:, 0].bool().tolist(), probes.female(vectors).tolist(), strict=True), strict=True))
    out = {}
    for method, rows in inversion.by_method(metrics).items():
        rows = rows.filter(np.isin(rows["face_id"].to_pylist(), ids))
        female = probes.female(torch.tensor(schema.dense(rows["mobilefacenet"], 128)).double())
        true, read = torch.tensor([own[i] for i in rows["face_id"].to_pylist()]).T
        out[inversion.TITLES.get(method, "photograph")] = {
            "right": share(female == true),
            "as_read": share(female == read),
        }
    return out


def cell(found):
    return f"{100 * found['share']:.1f} % ({100 * found['low']:.1f}–{100 * found['high']:.1f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", required=True)
    parser.add_argument("--features", required=True)
    parser.add_argument("--vectors", nargs="+", default=["arcface"])
    parser.add_argument("--metrics", default="")
    args = parser.parse_args()
    labels = labels_of(args.faces)
    columns = ("face_id", "domain", "split", *dict.fromkeys((*args.vectors, *(["arcface"] if args.metrics else []))))
    table = distinct(tables.read(args.features, columns, schema="features"))
    out = {"vectors": {}, "reconstructions": {}}
    print("| vector | sex, held-out adults | commonest sex | age, mean error | median age |\n|---|---|---|---|---|")
    for name in args.vectors:
        found, probes = measure(table, name, labels)
        out["vectors"][name] = found
        ages = f"{found['age_mae']:.1f} y | {found['median_age_mae']:.1f} y"
        print(f"| {name} | {cell(found['sex'])} of {found['sex']['faces']} | {cell(found['commonest_sex'])} | {ages} |")
    if args.metrics:
        _, probes = measure(table, "arcface", labels)
        out["reconstructions"] = reconstructions(args.metrics, table, labels, probes)
        print("\n| picture | right sex | the sex that the photograph's vector shows |\n|---|---|---|")
        for name, row in out["reconstructions"].items():
            print(f"| {name} | {cell(row['right'])} of {row['right']['faces']} | {cell(row['as_read'])} |")
    Path(__file__).with_suffix(".json").write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
