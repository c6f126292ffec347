"""Write docs/jobs: one page per job, made of what `--help` says.

python -m tests.job_pages            # writes the pages (make docs)
"""

import contextlib
import io
import os
import re
import runpy
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = REPOSITORY / "docs/jobs"
WIDTH = 110
KINDS = {"generate": ("hybrid", "variation", "inversion", "child"), "reverse_map": ("report",)}
"""Jobs whose first word says what kind of it is meant."""
BOXES = re.compile(r"[╭╮╰╯│─]+")


def jobs() -> list[str]:
    """Return the names of all jobs."""
    found = (p for p in (REPOSITORY / "jobs").iterdir() if not p.name.startswith("_") and p.name != "runtime")
    return sorted(p.stem for p in found)


def help_of(job: str, *kind: str) -> str:
    """Return what a job prints for --help, without colours, boxes and this machine's paths; SystemExit where it does not exit with 0."""
    said, old = io.StringIO(), sys.argv
    os.environ |= {"COLUMNS": str(WIDTH), "NO_COLOR": "1"}
    sys.argv = [job, *kind, "--help"]
    try:
        with contextlib.redirect_stdout(said), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            runpy.run_module(f"jobs.{job}", run_name="__main__", alter_sys=True)
    except SystemExit as left:
        if left.code:
            raise
    finally:
        sys.argv = old
    text = re.sub(r"\x1b\[[0-9;]*m", "", said.getvalue()).replace(f"{REPOSITORY}/", "")
    lines = (BOXES.sub(" ", line).rstrip() for line in text.splitlines())
    return "\n".join(line.removeprefix(" ") for line in lines if line.strip(" -"))


def pages() -> Iterator[tuple[Path, str]]:
    """Yield each page's path and text."""
    names = jobs()
    for name in names:
        parts = [f"# jobs.{name}\n"]
        for kind in ((), *((k,) for k in KINDS.get(name, ()))):
            parts += [f"## {kind[0]}\n"] if kind else []
            parts.append(f"```\n{help_of(name, *kind)}\n```\n")
        yield PAGES / f"{name}.md", "\n".join(parts)
    listed = "\n".join(f"- [{name}]({name}.md)" for name in names)
    yield (
        PAGES / "README.md",
        f"# The jobs\n\nOne page per job, made of what `--help` says (`make docs`).\n\n{listed}\n",
    )


if __name__ == "__main__":
    PAGES.mkdir(exist_ok=True)
    for path, text in pages():
        path.write_text(text)
        print(path)
