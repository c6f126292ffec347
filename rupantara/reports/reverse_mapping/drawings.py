"""Figures of reverse mapping, drawn by matplotlib from the report's tables; colours of Okabe and Ito (2008), safe for the colour-blind."""

import io
import re
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from rupantara.metrics.affinity_summary import OVERALL, ROWS
from rupantara.reports.reverse_mapping.numbers import Numbers

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#8C7A00", "#000000")
MARKERS = "osD^vPX*"
STYLE: Any = {"svg.fonttype": "none", "svg.hashsalt": "rupantara", "font.size": 11, "font.family": "sans-serif"}
REGION_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9")
Drawn = Callable[[Numbers], Figure]


def render(figure: Figure, kind: str) -> bytes:
    """Return a figure as svg or png bytes; the same figure gives the same svg."""
    sink = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(
            sink, format=kind, dpi=120, bbox_inches="tight", metadata={"Date": None} if kind == "svg" else None
        )
    return sink.getvalue()


def inline(svg: bytes, name: str, alt: str) -> str:
    """Return an svg to stand in a page: named for screen readers, its ids its own, its size the page's."""
    text = svg.decode()[svg.decode().index("<svg") :]
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    text = re.sub(r'xlink:href="#', f'xlink:href="#{name}-', text)
    head, rest = text.split(">", 1)
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    escaped = alt.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return f'{head} role="img" aria-label="{escaped}">{rest}'


def colour(i: int) -> str:
    """Return the colour of the i-th species."""
    return COLOURS[i % len(COLOURS)]


def _grid(
    axes: Axes, values: np.ndarray, rows: Sequence[str], columns: Sequence[str], middle: float, text: np.ndarray
) -> None:
    """Draw a matrix about a middle value, PuOr: violet above, orange below; `text` stands in the cells."""
    reach = max(float(np.nanmax(np.abs(values - middle))), 1e-6)
    image = axes.imshow(values, cmap="PuOr", aspect="auto", norm=TwoSlopeNorm(middle, middle - reach, middle + reach))
    axes.set_xticks(range(len(columns)), columns, rotation=30, ha="right")
    axes.set_yticks(range(len(rows)), rows)
    for (i, j), value in np.ndenumerate(values):
        dark = abs(value - middle) > 0.62 * reach
        axes.text(j, i, text[i, j], ha="center", va="center", color="white" if dark else "black", fontsize=9.5)
    axes.figure.colorbar(image, ax=axes, fraction=0.04, pad=0.02)


def heat_map(n: Numbers) -> Figure:
    """Draw the probability of each region and species."""
    values = n.grid("species", "probability", space=n.first)
    text = np.array([[f"{v:.2f}" for v in row] for row in values], object)
    for i, row in enumerate(values):
        text[i, int(np.nanargmax(row))] += " 1st"
    figure = Figure(figsize=(2.2 + 0.85 * len(n.species), 4.2))
    _grid(figure.subplots(), values, ROWS, n.species, 0.5, text)
    return figure


def stacked(n: Numbers) -> Figure:
    """Draw what each region gives to a species' mean probability."""
    values, order = n.grid("species", "probability", space=n.first), _order(n)
    figure = Figure(figsize=(8.4, 1.4 + 0.42 * len(order)))
    axes, left = figure.subplots(), np.zeros(len(order))
    for i, region in enumerate(ROWS[:-1]):
        width = values[i, order] / (len(ROWS) - 1)
        axes.barh(range(len(order)), width, left=left, color=REGION_COLOURS[i], edgecolor="white", label=region)
        left += width
    axes.axvline(0.5, color="black", linewidth=1, linestyle="--")
    axes.set_yticks(range(len(order)), [n.species[j] for j in order])
    axes.invert_yaxis()
    axes.set_xlabel("probability of being nearer, mean over regions (dashed: 0.5, no nearer)")
    axes.legend(ncols=5, loc="lower center", bbox_to_anchor=(0.45, 1.0), frameon=False, fontsize=10)
    return figure


def scatter(n: Numbers) -> Figure:
    """Draw each species in each region, with its 95 % interval."""
    middle, low, high = (
        n.grid("species", c, space=n.first) for c in ("probability", "probability_low", "probability_high")
    )
    figure = Figure(figsize=(8.4, 4.6))
    axes = figure.subplots()
    for s, name in enumerate(n.species):
        x = np.arange(len(ROWS)) + (s - (len(n.species) - 1) / 2) * 0.09
        error = np.maximum([middle[:, s] - low[:, s], high[:, s] - middle[:, s]], 0)
        marker = MARKERS[s % len(MARKERS)]
        axes.errorbar(x, middle[:, s], error, fmt=marker, color=colour(s), markersize=6, linewidth=1.2, label=name)
    axes.axhline(0.5, color="black", linewidth=0.8, linestyle="--")
    axes.set_xticks(range(len(ROWS)), ROWS)
    axes.set_ylabel("probability of being nearer")
    axes.grid(axis="y", alpha=0.25)
    axes.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False, fontsize=10)
    return figure


def radar(n: Numbers) -> Figure:
    """Draw each species' profile over the regions."""
    values = n.grid("species", "probability", space=n.first)
    figure = Figure(figsize=(8.2, 5.4))
    axes = figure.add_subplot(projection="polar")
    angles = np.linspace(0, 2 * np.pi, len(ROWS) - 1, endpoint=False)
    closed = np.append(angles, angles[0])
    for s in _order(n):
        line = values[:-1, s]
        label = f"{n.species[s]} ({values[-1, s]:.2f})"
        marker = MARKERS[s % len(MARKERS)]
        axes.plot(
            closed, np.append(line, line[0]), color=colour(s), marker=marker, markersize=5, linewidth=1.6, label=label
        )
    axes.plot(np.linspace(0, 2 * np.pi, 100), np.full(100, 0.5), color="black", linewidth=0.8, linestyle="--")
    axes.set_xticks(angles, ROWS[:-1])
    axes.legend(loc="center left", bbox_to_anchor=(1.12, 0.5), frameon=False, title="species (mean)")
    return figure


def ranking(n: Numbers) -> Figure:
    """Draw species by their overall probability with intervals and rank sets."""
    order = _order(n)
    rows = {row["species"]: row for row in n.of("species", space=n.first, region=OVERALL)}
    figure = Figure(figsize=(8.4, 1.2 + 0.45 * len(order)))
    axes = figure.subplots()
    for y, s in enumerate(order):
        row = rows[n.species[s]]
        axes.plot([row["probability_low"], row["probability_high"]], [y, y], color=colour(s), linewidth=3, alpha=0.5)
        axes.plot(row["probability"], y, marker=MARKERS[s % len(MARKERS)], color=colour(s), markersize=9)
        least, greatest = row["rank_least"], row["rank_greatest"]
        said = f"rank {least}" if least == greatest else f"rank {least} to {greatest}"
        axes.text(1.02, y, said, transform=axes.get_yaxis_transform(), va="center")
    axes.axvline(0.5, color="black", linewidth=0.8, linestyle="--")
    axes.set_yticks(range(len(order)), [n.species[j] for j in order])
    axes.invert_yaxis()
    axes.set_xlabel("probability of being nearer, mean over regions, 95 % interval")
    axes.grid(axis="x", alpha=0.25)
    return figure


def boxes(n: Numbers) -> Figure:
    """Draw the spread over faces of the mean cosine to each species, a panel a region."""
    figure = Figure(figsize=(10, 3.6))
    panels = figure.subplots(1, len(ROWS) - 1, sharey=True)
    for axes, region in zip(panels, ROWS[:-1], strict=True):
        rows = {row["species"]: row for row in n.of("boxes", space=n.first, measure="mean", region=region)}
        stats = [
            {"whislo": r["q05"], "q1": r["q25"], "med": r["q50"], "q3": r["q75"], "whishi": r["q95"], "fliers": []}
            for r in (rows[name] for name in n.species)
        ]
        drawn = axes.bxp(stats, showfliers=False, patch_artist=True, widths=0.65)
        for s, box in enumerate(drawn["boxes"]):
            box.set(facecolor=colour(s), alpha=0.6)
        for line in drawn["medians"]:
            line.set(color="black", linewidth=1.5)
        axes.set_xticklabels(n.species, rotation=90)
        axes.set_title(region, fontsize=11)
        axes.grid(axis="y", alpha=0.25)
    panels[0].set_ylabel("mean cosine of a face")
    return figure


def spaces(n: Numbers) -> Figure:
    """Draw each species' place in every space that may rank populations."""
    names = [row["space"] for row in n.tables["spaces"] if row["ranks"]]
    figure = Figure(figsize=(1.8 + 1.9 * max(len(names), 2), 4.4))
    axes = figure.subplots()
    for s, name in enumerate(n.species):
        rows = [n.of("species", space=space, region=OVERALL, species=name)[0] for space in names]
        x, y = np.arange(len(names)), [row["place"] for row in rows]
        axes.plot(x, y, color=colour(s), marker=MARKERS[s % len(MARKERS)], linewidth=2, markersize=9)
        axes.text(len(names) - 0.9, y[-1], name, va="center")
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(1, len(n.species) + 1))
    axes.set_xlim(-0.2, len(names) - 0.3)
    axes.invert_yaxis()
    axes.set_ylabel("place by probability, all regions (1 = nearest)")
    return figure


def own(n: Numbers) -> Figure:
    """Draw how near the bank's animals are to each species: species against species."""
    names = [name for name in n.species if n.of("calibration", faces=name)]
    found = {(row["faces"], row["species"]): row["probability"] for row in n.of("calibration", region=OVERALL)}
    values = np.array([[found.get((a, b), np.nan) for b in n.species] for a in names], float)
    figure = Figure(figsize=(2.2 + 0.85 * len(n.species), 1.6 + 0.45 * len(names)))
    axes = figure.subplots()
    text = np.array([[f"{v:.2f}" for v in row] for row in values], object)
    _grid(axes, values, names, n.species, 0.5, text)
    axes.set_ylabel("faces of")
    axes.set_xlabel("nearer to")
    return figure


def difference(first: str, second: str) -> Drawn:
    """Return what draws the differences between two groups of faces by region and species."""

    def draw(n: Numbers) -> Figure:
        values = n.grid("differences", "difference", first=first, second=second)
        p = n.grid("differences", "p", first=first, second=second)
        text = np.array([[f"{v:+.3f}" for v in row] for row in values], object)
        text[p <= 0.05] += "*"
        figure = Figure(figsize=(2.4 + 0.95 * len(n.species), 4.2))
        _grid(figure.subplots(), values, ROWS, n.species, 0.0, text)
        return figure

    return draw


def _order(n: Numbers) -> list[int]:
    """Return the species' places, the nearest over all regions first."""
    place = {row["species"]: row["place"] for row in n.of("species", space=n.first, region=OVERALL)}
    return sorted(range(len(n.species)), key=lambda s: place[n.species[s]])
