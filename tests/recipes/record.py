"""Record the code of every recipe, once it is shown that its rows are the same: `make recipes`.

Where a recipe's code moved and its version did not, small outputs of it are made by the code of the commit that was recorded (in a
temporary worktree) and by today's, on this machine, from the same inputs, and compared row for row. Where they differ, nothing is recorded:
raise the recipe's version.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.recipes.closure import Source, Spec
from tests.recipes.compare import differences
from tests.recipes.samples import NETWORKS, SAMPLES

REPOSITORY = Path(__file__).resolve().parents[2]
RECORD = Path(__file__).with_name("recorded.json")
KEPT = REPOSITORY / "runs/recipes"
"""Outputs of commits stay here, so that the same comparison is cheaper the next time."""

Record = dict[str, dict[str, object]]


def read(root: Path = REPOSITORY) -> Record:
    """Read what is recorded in a tree."""
    path = root / RECORD.relative_to(REPOSITORY)
    return json.loads(path.read_text()) if path.exists() else {}


def write(record: Record) -> None:
    """Write one line a recipe, so that branches merge."""
    lines = [f"{json.dumps(job)}: {json.dumps(record[job])}" for job in sorted(record)]
    RECORD.write_text("{\n " + ",\n ".join(lines) + "\n}\n")


def moved(specs: dict[str, Spec], source: Source, record: Record) -> list[str]:
    """Name the recipes whose code is not what was recorded for their version."""
    return [job for job, s in specs.items() if _recorded(record, s) and record[job]["code"] != source.hash(s.module)]


def _recorded(record: Record, spec: Spec) -> bool:
    return spec.job in record and record[spec.job]["version"] == spec.version


def git(*arguments: str) -> str:
    """Run git in the repository."""
    return subprocess.run(
        ["git", *arguments], cwd=REPOSITORY, check=True, capture_output=True, text=True
    ).stdout.strip()


@contextmanager
def checkout(commit: str) -> Iterator[Path]:
    """Check a commit out into a temporary worktree."""
    with tempfile.TemporaryDirectory(prefix="recipes-") as folder:
        tree = Path(folder) / "tree"
        git("worktree", "add", "--quiet", "--detach", str(tree), commit)
        try:
            yield tree
        finally:
            git("worktree", "remove", "--force", str(tree))


def candidates() -> list[str]:
    """Return the commits whose code may be what is recorded: the last one, and the last ones that recorded anything."""
    recorders = git("rev-list", "-n", "5", "HEAD", "--", str(RECORD.relative_to(REPOSITORY))).splitlines()
    return list(dict.fromkeys([git("rev-parse", "HEAD"), *recorders]))


def samples(
    tree: Path, inputs: Path, out: Path, recipes: Collection[str], *, alone: bool, weights: Sequence[str]
) -> None:
    """Make the samples of some recipes by a tree's code; `alone`: only they, what they read lies in `inputs`."""
    log = out / "log.txt"
    out.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.recipes.samples", "--inputs", str(inputs), "--out", str(out)]
    command += weights
    command += [*(["--alone"] if alone else []), *recipes]
    with log.open("w") as file:
        done = subprocess.run(command, cwd=tree, stdout=file, stderr=subprocess.STDOUT)
    if done.returncode:
        sys.exit(f"error: the samples of {', '.join(recipes)} were not made: {log}\n{log.read_text()[-2000:]}")


def compared(commit: str, tree: Path, recipes: Collection[str]) -> dict[str, list[str]]:
    """Make outputs by both codes and return what differs, by recipe."""
    old, new = KEPT / commit[:12], Path(tempfile.mkdtemp(prefix="recipes-"))
    old.mkdir(parents=True, exist_ok=True)
    (old / "pretrained").unlink(missing_ok=True)
    (old / "pretrained").symlink_to(tree / "pretrained")
    print(f"made by {commit[:12]}: {', '.join(recipes)} …", flush=True)
    # A tree from before the flag judges without networks, and so must today's.
    known = "--weights" in (tree / "tests/recipes/samples.py").read_text()
    weights = ["--weights", str(NETWORKS or "")] if known else []
    samples(tree, old, old, recipes, alone=False, weights=weights)
    print("made by today's code …", flush=True)
    samples(REPOSITORY, old, new, recipes, alone=True, weights=weights or ["--weights", ""])
    return {job: _differences(job, old, new) for job in recipes}


def _differences(job: str, old: Path, new: Path) -> list[str]:
    names = [name for name, sample in SAMPLES.items() if sample.recipe == job and (old / name).exists()]
    if not names:
        return ["the recorded commit has no sample of it"]
    return [f"{name}: {line}" for name in names for line in differences(old / name, new / name)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipes", nargs="*", help="compare and record these alone")
    args = parser.parse_args()
    source = Source(REPOSITORY)
    specs, record, refused = source.specs(), read(), {}
    stale = [job for job in moved(specs, source, record) if not args.recipes or job in args.recipes]
    fresh = [job for job, s in specs.items() if not _recorded(record, s) and (not args.recipes or job in args.recipes)]
    pending = list(stale)
    for commit in candidates() if stale else ():
        with checkout(commit) as tree:
            base = Source(tree)
            there = base.specs() if pending else {}
            same = [j for j in pending if j in there and base.hash(there[j].module) == record[j]["code"]]
            if same:
                refused |= {j: found for j, found in compared(commit, tree, same).items() if found}
            pending = [job for job in pending if job not in same]
    refused |= {job: ["no commit near has the code that is recorded"] for job in pending}
    for job in (*fresh, *(job for job in stale if job not in refused)):
        record[job] = {"version": specs[job].version, "code": source.hash(specs[job].module)}
        print(f"recorded {job}, version {specs[job].version}{' (not compared)' if job in fresh else ': the same rows'}")
    write({job: value for job, value in record.items() if job in specs})
    for job, found in refused.items():
        print(f"REFUSED {job}: its rows change, raise its version in {specs[job].module}\n  " + "\n  ".join(found[:5]))
    sys.exit(1 if refused else 0)


if __name__ == "__main__":
    main()
