"""Children by the thousand: one command, killed twice with SIGKILL and started again; are all rows there, each pair and sibling once?

    python -m benchmarks.children_killed --faces FACES --generated out/children [--pairs 2500] [--siblings 4]

FACES and the output may be on S3: `make s3` prints the variables of a real server on this machine, and the results say where the
rows went. Each run is the same command line, `python -m jobs.generate child …`.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import tyro

from rupantara.storage import manifest, tables, uris

KILLS = (0.3, 0.65)
"""Shares of the parts that are written when the job is killed."""
POLL_S, GIVE_UP_S, GONE_S = 0.5, 900.0, 5.0


@dataclass(frozen=True)
class Config:
    """What is made."""

    faces: str
    generated: str
    pairs: int = 2500
    siblings: int = 4
    workers: int = 2
    pretrained: str = "pretrained"
    seed: int = 0
    out: Path = Path("benchmarks/children_killed.json")


def command(config: Config) -> list[str]:
    """Return the job's command line."""
    flags = {
        "checkpoint": uris.join(config.pretrained, "region_vae"),
        "blender": uris.join(config.pretrained, "blender"),
        "faces": config.faces,
        "generated": config.generated,
        "count": config.pairs,
        "siblings": config.siblings,
        "workers": config.workers,
        "seed": config.seed,
    }
    told = [text for name, value in flags.items() for text in (f"--{name}", str(value))]
    return [sys.executable, "-m", "jobs.generate", "child", *told, "--no-export"]


def written(generated: str) -> int:
    """Count the parts that lie there."""
    return len(uris.list_files(uris.join(generated, "_parts"), recursive=False))


def runs(config: Config, parts: int) -> Iterator[dict[str, float]]:
    """Run the job, killed at each share of its parts, and to its end; yield the seconds and the parts of each run."""
    for share in (*KILLS, None):
        started = time.monotonic()
        process = subprocess.Popen(command(config))
        while share is not None and written(config.generated) < share * parts:
            if process.poll() is not None or time.monotonic() - started > GIVE_UP_S:
                raise RuntimeError(f"the job ended with {process.poll()} before it could be killed")
            time.sleep(POLL_S)
        if share is not None:
            os.kill(process.pid, signal.SIGKILL)
        code = process.wait()
        if share is None and code:
            raise RuntimeError(f"the job ended with {code}")
        yield {
            "seconds": round(time.monotonic() - started, 1),
            "parts": parts if share is None else written(config.generated),
        }
        time.sleep(GONE_S)


def check(config: Config) -> dict[str, int]:
    """Count the rows, the pictures, and what differs by request, by pair and by pair and sibling."""
    found = manifest.require(config.generated, "generated")
    rows = tables.read(
        config.generated, ("request_id", "face_ids", "parameters", "reject"), schema=found.schema
    ).to_pylist()
    families = {tuple(sorted(row["face_ids"])) for row in rows}
    children = {(*sorted(row["face_ids"]), json.loads(row["parameters"])["sibling"]) for row in rows}
    return {
        "rows": len(rows),
        "rejects": sum(row["reject"] is not None for row in rows),
        "different_requests": len({row["request_id"] for row in rows}),
        "different_pairs": len(families),
        "different_pairs_and_siblings": len(children),
    }


def main(config: Config) -> None:
    """Make them, kill the job twice, count."""
    from jobs.generate.child import PAIRS_A_PART

    started = time.monotonic()
    legs = list(runs(config, -(-config.pairs // PAIRS_A_PART)))
    wall, counted = time.monotonic() - started, check(config)
    wanted = config.pairs * config.siblings
    found = {
        "storage": "S3 (OpenStack Swift)" if config.generated.startswith("s3://") else "local folder",
        "runs": legs,
        **counted,
        "wall_s": round(wall, 1),
        "rows_per_s": round(wanted / wall, 1),
        "workers": config.workers,
        "cores": os.cpu_count(),
    }
    print(json.dumps(found))
    known = json.loads(config.out.read_text()) if config.out.exists() else {}
    config.out.write_text(json.dumps(known | {found["storage"]: found}, indent=1) + "\n")
    same = [counted[name] for name in ("rows", "different_requests", "different_pairs_and_siblings")]
    if same != [wanted] * 3 or counted["rejects"] or counted["different_pairs"] != config.pairs:
        raise SystemExit(f"wanted {wanted} children of {config.pairs} pairs, each once, got {counted}")


if __name__ == "__main__":
    main(tyro.cli(Config))
