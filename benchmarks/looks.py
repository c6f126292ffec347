"""How far expression, apparent age and sex can be trusted, by group, where labels are known.

    python -m benchmarks.looks --faces FACES [--expressions benchmarks/expressions.json]

FACES is a table of `jobs.curate` over LFW and UTKFace. Age and sex are compared with UTKFace's file names, which the network's authors had
among their training data: no independent test. Sex is compared with LFW's people whose first name is nearly always a man's or a woman's
(first_names.json), which is one; for the age of LFW's people no label is known. Expressions are compared with marks made by eye of
photographs drawn at random ({"name of the file": "happy" | "neutral" | "other"}); the network's training data is not known.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np

from rupantara import schema
from rupantara.storage import tables

FIRST_NAMES = Path(__file__).with_name("first_names.json")
GROUPS = ("White", "Black", "Asian", "Indian", "other")
AGES = ((0, 9), (10, 19), (20, 39), (40, 59), (60, 120))


def utkface(rows):
    """Compare with UTKFace's names, by group and by age."""
    found = defaultdict(list)
    for row in rows:
        known = {a["name"]: a["value"] for a in row["attributes"]}
        if "age" not in known:
            continue
        age, sex = float(known["age"]), ("male", "female")[int(known["sex"])]
        made = row["estimated"]
        one = (made["age"] - age, made["sex"] == sex)
        band = next(f"age {low}-{high}" for low, high in AGES if low <= age <= high)
        for key in ("all", GROUPS[int(known["group"])], sex, band):
            found[key].append(one)
    return {key: ages_and_sexes(np.array(values, float)) for key, values in sorted(found.items())}


def ages_and_sexes(values):
    """Summarise errors of age and right answers of sex."""
    return {
        "n": len(values),
        "age_mean_absolute_error": round(float(np.abs(values[:, 0]).mean()), 2),
        "age_bias": round(float(values[:, 0].mean()), 2),
        "sex_right": round(float(values[:, 1].mean()), 4),
    }


def lfw(rows):
    """Compare sex with the first names of LFW's people."""
    names = {name: sex for sex, listed in json.loads(FIRST_NAMES.read_text()).items() for name in listed.split()}
    found = defaultdict(list)
    for row in rows:
        if "/lfw/" not in row["uri"]:
            continue
        first = row["uri"].rpartition("/")[2].split("_")[0]
        sex = names.get(first)
        if sex:
            found[sex].append(row["estimated"]["sex"] == sex)
    return {sex: {"n": len(right), "sex_right": round(float(np.mean(right)), 4)} for sex, right in found.items()}


def expressions(rows, marks):
    """Compare expressions with marks: a table of mark against answer, and how often `not_neutral` at one half is right."""
    table, agree, strict = defaultdict(int), 0, defaultdict(list)
    by_name = {row["uri"].rpartition("/")[2]: row["expressions"] for row in rows}
    marked = {name: mark for name, mark in marks.items() if name in by_name}
    for name, mark in marked.items():
        made = by_name[name]
        top = max(made, key=made.get)
        answer = top if top in ("happy", "neutral") else "other"
        table[f"{mark} -> {answer}"] += 1
        agree += answer == mark
        plain = max(made[e] for e in ("happy", "sad", "angry", "surprised"))
        strict[mark].append(plain > 0.5)
    shares = {mark: round(float(np.mean(refused)), 3) for mark, refused in strict.items()}
    return {
        "n": len(marked),
        "agree": round(agree / max(len(marked), 1), 4),
        "table": dict(sorted(table.items())),
        "not_neutral": shares,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", required=True)
    parser.add_argument("--expressions", default=str(Path(__file__).with_name("expressions.json")))
    args = parser.parse_args()
    columns = ("uri", "domain", "attributes", "expressions", "estimated", "reject")
    rows = [
        row for row in schema.accepted(tables.read(args.faces, columns, schema="faces")).to_pylist() if row["estimated"]
    ]
    result = {"utkface": utkface(rows), "lfw_by_first_name": lfw(rows)}
    if Path(args.expressions).exists():
        result["expressions"] = expressions(rows, json.loads(Path(args.expressions).read_text()))
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
