"""How the whole way runs: one job after the other, then the report of all of them."""

import logging
import time
from pathlib import Path

from jobs.demo.config import Config
from jobs.demo.steps import draw, steps
from rupantara.evaluation import affinity_report
from rupantara.reports import evaluation, funnel, html, sections
from rupantara.storage import uris

log = logging.getLogger("jobs")


def report(run: str, seconds: dict[str, float]) -> str:
    """Write the report of the whole run and return its path."""
    timing = html.Table("Seconds by job in this run", ["job", "seconds"], [[n, f"{s:.0f}"] for n, s in seconds.items()])
    page = html.render(
        "Rupantara: from photographs to hybrid faces",
        [
            *([sections.hybrids(uris.join(run, "sampled"))] if "pretrained" in seconds else []),
            *([sections.families(uris.join(run, "sampled_families"))] if "families" in seconds else []),
            sections.hybrids(uris.join(run, "generated")),
            sections.affinity(affinity_report.results(uris.join(run, "affinity"))),
            sections.morphs(uris.join(run, "morphs")),
            evaluation.section(uris.join(run, "metrics")),
            sections.training(uris.join(run, "checkpoint")),
            funnel.section(uris.join(run, "faces")),
            html.Section("This run", [], [timing]),
        ],
    )
    uri = uris.join(run, "report.html")
    uris.write_bytes(uri, page)
    return uri


def main(config: Config) -> None:
    """Run the whole way."""
    if config.dry_run:
        print(config)
        return
    photos = config.photos or draw(config)
    seconds: dict[str, float] = {}
    for name, step in steps(config, photos).items():
        log.info("== %s", name)
        started = time.monotonic()
        step()
        seconds[name] = time.monotonic() - started
    path = report(config.run, seconds)
    print(f"report: {Path(path).resolve() if uris.is_local(path) else path}")
