"""What is said and written of a table that is complete: the line in the log, its rejects, its card, and how fast it was made."""

import json
from collections.abc import Sequence
from typing import Any

from jobs.runtime.cluster import peak_mib
from jobs.runtime.flags import Common
from rupantara.errors import UserError
from rupantara.reports.cards import table_card
from rupantara.storage import uris
from rupantara.storage.manifest import Manifest

QUANTILES = {"median": 0.5, "p95": 0.95, "max": 1.0}


def line(counts: dict[str, Any]) -> str:
    """Say how many rows were written and what became of them; nothing else is counted in the same line."""
    rejected = sum(counts["rejected"].values())
    rows = counts["accepted"] + rejected
    reasons = ", ".join(f"{reason} {n}" for reason, n in counts["rejected"].items())
    return f"{rows} rows: {counts['accepted']} accepted, {rejected} rejected" + (f" ({reasons})" if reasons else "")


def check_rejects(config: Common, output: str, complete: Manifest) -> None:
    """Raise UserError where every row is a reject, unless that is allowed."""
    counts = complete.counts
    if counts["rejected"] and not counts["accepted"] and not config.allow_all_rejects:
        reasons = ", ".join(f"{reason} {number}" for reason, number in counts["rejected"].items())
        raise UserError(
            f"{output} is complete, but all of its {sum(counts['rejected'].values())} rows are rejects ({reasons});"
            " --allow-all-rejects takes that for a success"
        )


def write_card(output: str, complete: Manifest, *, anew: bool = False) -> None:
    """Write the table's card, if it is not there (a kill may fall between the commit and it) or is to be written anew."""
    card = uris.join(output, "README.md")
    if anew or not uris.exists(card):
        uris.write_bytes(card, table_card(complete).encode())


def write_stats(output: str, complete: Manifest, timings: Sequence[dict[str, Any]], seconds: float) -> None:
    """Write stats.json: how fast this run was, part by part in sum, and how much memory the driver took."""
    each = sorted(float(t["seconds"]) for t in timings)
    rows = sum(int(t["rows"]) for t in timings)
    stats = {
        "job": complete.recipe.job,
        "counts": complete.counts,
        "seconds": round(seconds, 2),
        "parts": len(complete.data),
        "parts_in_this_run": len(timings),
        "rows_in_this_run": rows,
        "rows_per_s": round(rows / seconds, 2) if timings else None,
        "part_s": {name: round(each[int(q * (len(each) - 1))], 3) for name, q in QUANTILES.items()} if each else {},
        "worker_s": round(sum(each), 2),
        "worker_cpu_s": round(sum(float(t["cpu_s"]) for t in timings), 2),
        "driver_peak_mib": peak_mib(),
        "worker_peak_mib": max((float(t["peak_mib"]) for t in timings), default=None),
    }
    uris.write_bytes(uris.join(output, "stats.json"), json.dumps(stats, indent=1).encode())
