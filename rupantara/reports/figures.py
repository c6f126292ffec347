"""Plots as PNG bytes: heat map, radar chart, ranking, training curves."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure


def _png(figure: Figure) -> bytes:
    sink = io.BytesIO()
    figure.savefig(sink, format="png", dpi=110, bbox_inches="tight")
    return sink.getvalue()


def heatmap(values: np.ndarray, rows: Sequence[str], columns: Sequence[str], title: str) -> bytes:
    """Draw a matrix [rows, columns] with its numbers."""
    figure = Figure(figsize=(1.0 + 0.9 * len(columns), 1.2 + 0.55 * len(rows)))
    axes = figure.subplots()
    image = axes.imshow(values, cmap="viridis", aspect="auto")
    axes.set_xticks(range(len(columns)), columns, rotation=30, ha="right")
    axes.set_yticks(range(len(rows)), rows)
    middle = (float(values.min()) + float(values.max())) / 2
    for (i, j), value in np.ndenumerate(values):
        axes.text(
            j, i, f"{value:.2f}", ha="center", va="center", color="white" if value < middle else "black", fontsize=8
        )
    axes.set_title(title)
    figure.colorbar(image, ax=axes)
    return _png(figure)


def radar(values: np.ndarray, spokes: Sequence[str], names: Sequence[str], title: str) -> bytes:
    """Draw one closed line a row of values [names, spokes]."""
    figure = Figure(figsize=(6.5, 5.5))
    axes = figure.add_subplot(projection="polar")
    angles = np.linspace(0, 2 * np.pi, len(spokes), endpoint=False)
    closed = np.append(angles, angles[0])
    for row, name in zip(values, names, strict=True):
        axes.plot(closed, np.append(row, row[0]), label=name, linewidth=1.4)
    axes.set_xticks(angles, spokes)
    axes.set_title(title)
    axes.legend(loc="upper left", bbox_to_anchor=(1.1, 1.0))
    return _png(figure)


def ranking(names: Sequence[str], values: Sequence[float], errors: Sequence[float], title: str, unit: str) -> bytes:
    """Draw horizontal bars, the greatest on top, with error bars."""
    order = np.argsort(values)
    figure = Figure(figsize=(6.5, 0.8 + 0.4 * len(names)))
    axes = figure.subplots()
    axes.barh(
        [names[i] for i in order],
        [values[i] for i in order],
        xerr=[errors[i] for i in order],
        capsize=3,
        color="#3b7ea1",
    )
    axes.set_xlabel(unit)
    axes.set_title(title)
    return _png(figure)


def curves(lines: Mapping[str, Sequence[float]], x: Sequence[float], title: str, x_label: str, y_label: str) -> bytes:
    """Draw lines over a shared x."""
    figure = Figure(figsize=(6.5, 3.6))
    axes = figure.subplots()
    for name, y in lines.items():
        axes.plot(x, y, marker="o", label=name)
    axes.set(title=title, xlabel=x_label, ylabel=y_label)
    axes.grid(alpha=0.3)
    axes.legend()
    return _png(figure)


def trade_off(lines: Mapping[str, tuple[np.ndarray, np.ndarray]], title: str, x_label: str, y_label: str) -> bytes:
    """Draw (x, y) points of each name, y logarithmic."""
    figure = Figure(figsize=(6, 4))
    axes = figure.add_subplot()
    for name, (x, y) in lines.items():
        order = np.argsort(x)
        axes.plot(x[order], y[order], marker="o", label=name)
    axes.set_yscale("log")
    axes.set_title(title)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    return _png(figure)


def point_errors(points: np.ndarray, errors: np.ndarray, unit: str) -> bytes:
    """Draw points [n, 2] (x right, y down) coloured and labelled by their errors [n]."""
    figure = Figure(figsize=(7, 6.5))
    axes = figure.subplots()
    drawn = axes.scatter(
        points[:, 0], points[:, 1], c=errors, cmap="inferno_r", s=90, edgecolors="grey", linewidths=0.5
    )
    for (x, y), error in zip(points, errors, strict=True):
        axes.annotate(f"{error:.0f}", (x, y), xytext=(5, 5), textcoords="offset points", fontsize=6)
    axes.set_aspect("equal")
    axes.invert_yaxis()
    axes.axis("off")
    figure.colorbar(drawn, ax=axes, label=unit)
    return _png(figure)
