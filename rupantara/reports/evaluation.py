"""The evaluation of a region VAE as a report's section: errors, distances of sets, and control by region."""

import numpy as np
import pandas as pd

from rupantara.landmarks.regions import REGIONS
from rupantara.metrics.frechet import GaussianStats, frechet_distance, kernel_distance
from rupantara.metrics.interval import Interval, normal_interval
from rupantara.reports.html import Section, Table
from rupantara.storage import manifest, tables

METHODS = ("model", "pca", "mean_face")
LEAST_SET = 20
"""A Fréchet distance of fewer pictures says nothing."""


def section(uri: str) -> Section:
    """Compare reconstructions of held-out faces with the mean face and a PCA, by domain and species."""
    found = manifest.require(uri, "metrics")
    table = tables.read(uri, schema="metrics").to_pandas()
    fitted = found.extra.get("pca_components", {})
    text = (
        f"Held-out identities (split {found.recipe.config['split']}), {found.extra['size']} pixels square. The mean face and"
        f" the PCA ({', '.join(f'{d} {n}' for d, n in fitted.items())} components, as many numbers as the model's code where the faces"
        " suffice) are fitted on the train split of each domain. MSE on the scale [0, 1]; ± is a 95 % interval over faces."
        " LPIPS* is the LPIPS formula on Caffe's SqueezeNet v1.1, not the published LPIPS; identity is the cosine of MobileFaceNet's"
        " vectors. A model whose training used these networks in its losses is favoured by them."
    )
    made = [_errors(table), _sets(table), _control(table)]
    return Section("Evaluation", [text], [one for one in made if one.rows])


def mean_of(values: pd.Series) -> Interval:
    """Return the mean of a column, nulls left out, with its 95 % interval."""
    numbers = values.dropna().to_numpy(np.float64)
    return normal_interval(len(numbers), float(numbers.sum()), float((numbers**2).sum()))


def _spread(values: pd.Series, digits: int) -> str:
    if not values.notna().any():
        return ""
    if values.notna().sum() == 1:
        return f"{values.dropna().iloc[0]:.{digits}f}"
    found = mean_of(values)
    return f"{found.value:.{digits}f} ± {(found.high - found.low) / 2:.{digits}f}"


def groups_of(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return (name, rows) of both domains and of each animal species."""
    names = ("human", "animal", *sorted(set(table["species"]) - {"human"}))
    parts = ((name, table[(table["domain"] == name) | (table["species"] == name)]) for name in names)
    return [(name, part) for name, part in parts if len(part)]


def _errors(table: pd.DataFrame) -> Table:
    columns = (("psnr", 2), ("ssim", 3), ("mse", 5), ("lpips_caffe_squeezenet", 3), ("identity", 3))
    rows = []
    for group, part in groups_of(table):
        for method in METHODS:
            measured = part[part["method"] == method]
            if len(measured):
                rows.append([group, method, len(measured), *(_spread(measured[name], d) for name, d in columns)])
    head = ["faces", "method", "n", "PSNR (dB)", "SSIM", "MSE", "LPIPS*", "identity"]
    return Table("Reconstruction", head, rows)


def _sets(table: pd.DataFrame) -> Table:
    """Compare the set of reconstructions with the set of photographs."""
    rows = []
    for group, part in groups_of(table[table["squeezenet"].notna()]):
        features = {m: np.stack(f["squeezenet"].to_list()).astype(np.float64) for m, f in part.groupby("method")}
        source = features.get("source", np.zeros((0, 0)))
        if len(source) < LEAST_SET:
            continue
        for method in METHODS:
            pair = (GaussianStats.update(features[method]), GaussianStats.update(source))
            distance = frechet_distance(*pair)
            rows.append(
                [group, method, len(source), f"{distance:.1f}", f"{kernel_distance(features[method], source):.2f}"]
            )
    head = ["faces", "method", "n", "Fréchet distance", "kernel distance"]
    return Table("Reconstructions as a set against the photographs (SqueezeNet v1.1 features, 512-d)", head, rows)


def _control(table: pd.DataFrame) -> Table:
    """Say how much of what a lent animal region changes stays inside the region."""
    measured = table[table["region_control"].notna()]
    rows = []
    for i, region in enumerate(REGIONS if len(measured) else ()):
        shares = measured["region_control"].map(lambda row, i=i: row[i])
        rows.append([region, int(shares.notna().sum()), _spread(shares, 3), int(shares.isna().sum())])
    head = ["region", "n", "share inside", "nothing changed"]
    return Table(
        "Region control: share of a one-region hybrid's changed energy inside the region (reach 1/16)", head, rows
    )
