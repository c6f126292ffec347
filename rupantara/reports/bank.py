"""The bank in a report: what it is made of (table III of *Rupantara*), and recall against speed of approximate indexes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from rupantara.landmarks.regions import REGIONS
from rupantara.reports import figures
from rupantara.reports.html import Figure, Section, Table


def composition(rows: pd.DataFrame, told: Mapping[str, Any]) -> Section:
    """Show table III from the bank's own rows (species, region, norm, mean, std): images, features a region, features in all."""
    counts = rows.groupby(["species", "region"]).size().unstack(fill_value=0)[list(REGIONS)]
    lines = [[str(s), str(int(n.max())), *(str(int(v)) for v in n), str(int(n.sum()))] for s, n in counts.iterrows()]
    totals = counts.sum()
    lines.append(["Total", str(int(counts.max(axis=1).sum())), *(str(int(v)) for v in totals), str(int(totals.sum()))])
    index = told["index"]
    text = [
        f"Version {told['version']}, fingerprint {told['fingerprint'][:16]}, {told['shards']} shards in {told['segments']} segments.",
        f"Index: {index['kind']}, {index['bytes_a_vector']:g} bytes a vector, recall of the nearest {index['recall_at_1']:.4f} and of"
        f" the ten nearest {index['recall_at_10']:.4f} (the least over regions and shards).",
    ]
    spread = rows.groupby("region")[["norm", "mean", "std"]].agg(["mean", "std"]).loc[list(REGIONS)]
    codes = [[str(region), *(f"{value:.3f}" for value in line)] for region, line in spread.iterrows()]
    return Section(
        "Feature bank",
        text,
        [
            Table("Features by species", ["species", "images", *REGIONS, "all features"], lines),
            Table(
                "Statistics of the codes: mean and deviation over features",
                ["region", "norm", "±", "mean", "±", "deviation", "±"],
                codes,
            ),
        ],
        [],
    )


def best(settings: Sequence[Mapping[str, float]]) -> list[Mapping[str, float]]:
    """Return the settings that no other beats in speed without finding less, the quickest first."""
    out: list[Mapping[str, float]] = []
    for one in sorted(settings, key=lambda s: (-s["queries_per_s"], -s["recall_at_10"])):
        if not out or one["recall_at_10"] > out[-1]["recall_at_10"]:
            out.append(one)
    return out


def speed(measured: Mapping[str, Sequence[Mapping[str, float]]], flat: Mapping[str, float]) -> Section:
    """Show recall against queries a second of each region's best settings, beside a scan's speed: none finds more as quickly."""
    lines = []
    measured = {region: best(settings) for region, settings in measured.items()}
    for region, settings in measured.items():
        for one in settings:
            values = (one["nprobe"], one["k_factor"], one["recall_at_1"], one["recall_at_10"], one["queries_per_s"])
            ratio = one["queries_per_s"] / flat[region]
            lines.append([region, *(f"{v:.4g}" for v in values), f"{ratio:.1f}"])
    columns = ["region", "nprobe", "k_factor", "recall@1", "recall@10", "queries/s", "times a scan"]
    picture = figures.trade_off(
        {
            region: (np.array([s["recall_at_10"] for s in settings]), np.array([s["queries_per_s"] for s in settings]))
            for region, settings in measured.items()
        },
        "Recall against speed",
        "recall of the ten nearest",
        "queries a second",
    )
    return Section(
        "Approximate search", [], [Table("Settings", columns, lines)], [Figure("Recall against speed", picture)]
    )
