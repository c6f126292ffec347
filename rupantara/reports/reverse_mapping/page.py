"""The page: one HTML file that needs nothing from outside, the answer on its first screen, every figure with its numbers below it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jinja2
import markupsafe

from rupantara import __version__
from rupantara.metrics.affinity_summary import OVERALL
from rupantara.reports.reverse_mapping import drawings, sentences
from rupantara.reports.reverse_mapping.cards import Card, boxes_svg, encoded, radar_svg
from rupantara.reports.reverse_mapping.numbers import Numbers
from rupantara.reports.reverse_mapping.template import TEMPLATE


@dataclass(frozen=True)
class Under:
    """Numbers under a figure: some rows and columns of one of the report's tables."""

    table: str
    columns: Sequence[str]
    where: Mapping[str, str]
    title: str = "Numbers of this figure"


@dataclass(frozen=True)
class Plot:
    """A figure of the page: file name, caption, what draws it, and the numbers under it."""

    name: str
    caption: str
    draw: drawings.Drawn
    under: Sequence[Under]


@dataclass(frozen=True)
class Chapter:
    """A heading with sentences, figures and cards."""

    name: str
    title: str
    paragraphs: Sequence[str]
    plots: Sequence[Plot] = ()
    cards: Sequence[Card] = ()


def chapters(n: Numbers, cards: Sequence[Card] = ()) -> list[Chapter]:
    """Lay out the page."""
    here, overall = {"space": n.first}, {"space": n.first, "region": OVERALL}
    plain = Under("species", ("region", "species", "probability"), here)
    ends = ("probability", "probability_low", "probability_high")
    ranks = ("rank_least", "rank_greatest")
    cells = Under("species", ("region", "species", *ends, *ranks, "label_p", "lead_d"), here)
    caption = "Probability of being nearer, by region and species (0.5 = no nearer)"
    intervals = Under("species", ("region", "species", *ends), here)
    plots = [
        Plot("heat_map", caption, drawings.heat_map, [cells]),
        Plot("scatter", "The same with 95 % intervals over people and animals", drawings.scatter, [intervals]),
        Plot("stacked", "What each region gives to a species' mean", drawings.stacked, [plain]),
        Plot("radar", "Profiles of species over the regions", drawings.radar, [plain]),
    ]
    ranked = Under("species", ("species", "place", *ends, *ranks, "mean"), overall)
    ranking = Plot("ranking", "Species over all regions, and the ranks they may have", drawings.ranking, [ranked])
    quantiles = ("region", "species", "q05", "q25", "q50", "q75", "q95", "error")
    spread = Under("boxes", quantiles, {"space": n.first, "measure": "mean"})
    boxes = Plot("boxes", "Mean cosine of a face's region to each species", drawings.boxes, [spread])
    said = (
        "Boxes: the middle half of faces and their median; whiskers: 5 % to 95 %."
        f" Quantiles are within {n.tables['boxes'][0]['error']:.4f}."
    )
    out = [
        Chapter("ranking", f"Ranking of {sentences.kind(n)[1]}", [sentences.chance(n)], [ranking]),
        Chapter("regions", "Regions", [], plots),
        Chapter("spread", "Spread over faces", [said], [boxes]),
    ]
    meanings = [f"{row['space']}: {row['meaning']}" for row in n.tables["spaces"]]
    order = ("nearer", "than", "holds_in", "reversed_in", "holds_in_halves")
    places = Under("species", ("space", "species", "place", *ranks, "probability"), {"region": OVERALL})
    orders = Under(
        "orderings",
        order,
        {"region": OVERALL},
        "Orderings of two species, and the spaces they hold in (5 %, corrected)",
    )
    space_plots = [Plot("spaces", "Places of species in every space", drawings.spaces, [places, orders])]
    out.append(Chapter("spaces", "Spaces", [sentences.over_spaces(n), *meanings], space_plots))
    if n.tables["calibration"]:
        own = [name for name in n.species if n.of("calibration", faces=name)]
        under = Under("calibration", ("faces", "species", "probability", "mean"), {"region": OVERALL})
        caption = "Species against species: probability of being nearer, over all regions"
        shown = [Plot("species_own", caption, drawings.own, [under])] if own else []
        out.append(Chapter("calibration", "How far is near?", [sentences.calibration(n)], shown))
    out += _comparisons(n)
    if cards:
        text = "Each face with its five regions (ears are two boxes), the nearest animals of each, and its probabilities by species."
        out.append(Chapter("faces", "Faces", [text], (), cards))
    return out


MOST_COMPARED = 12
"""Pairs of groups drawn, those that differ most; the tables hold all."""


def _comparisons(n: Numbers) -> list[Chapter]:
    most: dict[tuple[str, str], float] = {}
    for row in n.tables["differences"]:
        pair = (row["first"], row["second"])
        most[pair] = max(most.get(pair, 0.0), abs(row["d"]))
    columns = ("region", "species", "difference", "low", "high", "p", "d")
    plots = []
    for first, second in sorted(most, key=lambda pair: -most[pair])[:MOST_COMPARED]:
        name = "".join(c if c.isalnum() else "_" for c in f"{first}_{second}")
        caption = f"{first} less {second}: difference in probability (* = beyond chance, 5 %, corrected)"
        under = Under("differences", columns, {"first": first, "second": second})
        plots.append(Plot(f"group_{name}", caption, drawings.difference(first, second), [under]))
    return [Chapter("groups", "Groups of faces", [sentences.groups(n)], plots)] if plots else []


def render(n: Numbers, laid_out: Sequence[Chapter], drawn: Mapping[str, bytes]) -> bytes:
    """Render the page; `drawn` are the figures' svg by name. All text is escaped."""
    best = sentences.nearest(n, OVERALL)
    # The paper's number is of the features as they are.
    cosine = next(iter(n.of("species", space="raw", region=OVERALL, species=best["species"])), best)
    facts = [
        (f"{n.faces:,}", "faces mapped"),
        (
            f"{sum(row['animals'] for row in n.of('species', space=n.first, region=OVERALL)):,}",
            "people compared with" if n.about.get("to") == "people" else "animals of the bank compared with",
        ),
        (f"{best['species']} {best['probability']:.2f}", f"nearest {sentences.kind(n)[0]}, probability"),
        (f"{100 * cosine['mean']:.1f} %", f"mean cosine with it ({cosine['space']})"),
        (n.first, "space of all figures but where named"),
    ]
    pages = []
    for chapter in laid_out:
        figures = []
        for plot in chapter.plots:
            tables = [
                {
                    "title": one.title,
                    "header": one.columns,
                    "rows": [[_shown(row.get(c)) for c in one.columns] for row in rows],
                }
                for one in plot.under
                for rows in [n.of(one.table, **one.where)]
            ]
            svg = markupsafe.Markup(drawings.inline(drawn[plot.name], plot.name, plot.caption))
            figures.append({"name": plot.name, "caption": plot.caption, "svg": svg, "tables": tables})
        page = {"name": chapter.name, "title": chapter.title, "paragraphs": chapter.paragraphs}
        pages.append(page | {"figures": figures, "cards": chapter.cards})
    environment = jinja2.Environment(autoescape=True, trim_blocks=True)
    helpers = {"encoded": encoded, "boxes_svg": boxes_svg, "radar_svg": radar_svg, "safe": markupsafe.Markup}
    text = {
        "headline": sentences.headline(n),
        "by_region": sentences.by_region(n),
        "over_spaces": sentences.over_spaces(n),
        "caution": sentences.CAUTION,
    }
    page = environment.from_string(TEMPLATE).render(sections=pages, facts=facts, version=__version__, **text, **helpers)
    return page.encode()


def _shown(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else "" if value is None else str(value)
