"""The report of a finished affinity table: its statistics are read, drawn, and written beside it as page, figures and tables."""

import io
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.csv as pa_csv

from rupantara.metrics.affinity_file import AffinityResults, read_results, with_others
from rupantara.reports.reverse_mapping import drawings, page
from rupantara.reports.reverse_mapping.cards import Card
from rupantara.reports.reverse_mapping.numbers import Numbers, numbers
from rupantara.storage import manifest, tables, uris
from rupantara.storage.statistics import Statistics, path_of


def results(affinity: str) -> AffinityResults:
    """Read what the report of a complete affinity table is drawn from."""
    found = manifest.require(affinity, "affinity")
    sums = Statistics.from_bytes(uris.read_bytes(uris.join(affinity, path_of(found.fingerprint)))).sums
    return read_results(uris.read_bytes(uris.join(affinity, found.extra["about"])), sums)


def write(affinity: str, cards: Sequence[Card] = (), beside: Sequence[str] = ()) -> str:
    """Write report.html, figures/ and tables/ into the table's folder; return where the page is.

    `beside` are tables of the same species by other vectors, whose spaces are compared too.
    """
    n = numbers(with_others(results(affinity), [results(other) for other in beside]))
    write_tables(affinity, n)
    laid_out, svgs = page.chapters(n, cards), {}
    for plot in (plot for chapter in laid_out for plot in chapter.plots):
        figure = plot.draw(n)
        for kind in ("svg", "png"):
            drawn = drawings.render(figure, kind)
            uris.write_bytes(uris.join(affinity, f"figures/{plot.name}.{kind}"), drawn)
            svgs |= {plot.name: drawn} if kind == "svg" else {}
    report = uris.join(affinity, "report.html")
    uris.write_bytes(report, page.render(n, laid_out, svgs))
    return report


def write_tables(affinity: str, n: Numbers) -> None:
    """Write every table as CSV and Parquet."""
    for name, rows in n.tables.items():
        if rows:
            table, sink = pa.Table.from_pylist(list(rows)), io.BytesIO()
            pa_csv.write_csv(table, sink)
            uris.write_bytes(uris.join(affinity, f"tables/{name}.csv"), sink.getvalue())
            tables.write_parquet(uris.join(affinity, f"tables/{name}.parquet"), table)
