"""The report of a whole run, from photographs to hybrids."""

from collections.abc import Mapping

from rupantara.reports import evaluation, funnel, html, sections
from rupantara.storage import uris


def write(run: str, seconds: Mapping[str, float]) -> str:
    """Write the report of a run's folder, whose jobs took so long, and return its path."""
    timing = html.Table("Seconds by job in this run", ["job", "seconds"], [[n, f"{s:.0f}"] for n, s in seconds.items()])
    page = html.render(
        "Rupantara: from photographs to hybrid faces",
        [
            *([sections.hybrids(uris.join(run, "sampled"))] if "pretrained" in seconds else []),
            sections.hybrids(uris.join(run, "generated")),
            sections.affinity(uris.join(run, "affinity")),
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
