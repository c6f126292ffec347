"""The evaluation of a region VAE as a report's section: errors, distances of sets, and control by region."""

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa

from rupantara.landmarks.regions import REGIONS
from rupantara.metrics import metrics_table
from rupantara.metrics.metrics_table import Group, Mean
from rupantara.reports import judging
from rupantara.reports.html import Section, Table
from rupantara.storage import manifest

DOMAINS = ("human", "animal")
MEASURES = {"psnr": 2, "ssim": 3, "mse": 5, "lpips_caffe_squeezenet": 3, "identity": 3}
"""Columns of the table of errors, and their digits."""
CONTROL = "region_control"
NO_SHARES = (None,) * len(REGIONS)
Groups = Mapping[tuple[str, str], Group]
"""Groups by (domain or species, method)."""
METHODS = ("model", "pca", "mean_face")
IDENTITY = "Identity is the cosine of MobileFaceNet's vectors."
LEAST_SET = 20
"""A Fréchet distance of fewer pictures says nothing."""


def section(uri: str) -> Section:
    """Compare reconstructions of held-out faces with the mean face and a PCA, by domain and species."""
    found = manifest.require(uri, "metrics")
    groups = groups_of(uri)
    fitted = found.extra.get("pca_components", {})
    text = (
        f"Held-out identities (split {found.recipe.config['split']}), {found.extra['size']} pixels square. The mean face and"
        f" the PCA ({', '.join(f'{d} {n}' for d, n in fitted.items())} components, as many numbers as the model's code where the faces"
        " suffice) are fitted on the train split of each domain. MSE on the scale [0, 1]; ± is a 95 % interval over faces."
        f" {judging.lpips_text(found.recipe)} {judging.identity_text(found.recipe, IDENTITY)}"
        " A model whose training used these networks in its losses is favoured by them."
        + metrics_table.sampled(max(group.rows for group in groups.values()))
    )
    made = [_errors(groups), _sets(groups), _control(groups)]
    return Section("Evaluation", [text], [one for one in made if one.rows])


def groups_of(uri: str) -> Groups:
    """Gather the rows of both domains and of each animal species, by method."""

    def split(part: pa.Table) -> Iterator[tuple[tuple[str, str], pa.Table, dict[str, np.ndarray]]]:
        for (domain, species, method), rows in metrics_table.by(part, "domain", "species", "method"):
            values = metrics_table.numbers(rows, MEASURES)
            shares = [row or NO_SHARES for row in rows[CONTROL].to_pylist()]
            values |= dict(zip(REGIONS, np.array(shares, np.float64).T, strict=True))
            values |= {CONTROL: np.where(rows[CONTROL].is_valid().to_numpy(), 1.0, np.nan)}
            yield from (((name, method), rows, values) for name in {domain, species} - {None})

    columns = ("face_id", "domain", "species", "method", CONTROL, metrics_table.SQUEEZENET, *MEASURES)
    return metrics_table.gather(uri, columns, split)


def _names(groups: Groups) -> list[str]:
    """Return both domains and each animal species, as far as there are any."""
    there = {name for name, _ in groups}
    return [*(name for name in DOMAINS if name in there), *sorted(there - set(DOMAINS))]


def _errors(groups: Groups) -> Table:
    rows = []
    for name in _names(groups):
        for method in METHODS:
            if found := groups.get((name, method)):
                cells = (found.mean(measure).cell(digits, alone=True) for measure, digits in MEASURES.items())
                rows.append([name, method, found.rows, *cells])
    head = ["faces", "method", "n", "PSNR (dB)", "SSIM", "MSE", "LPIPS*", "identity"]
    return Table("Reconstruction", head, rows)


def _sets(groups: Groups) -> Table:
    """Compare the set of reconstructions with the set of photographs."""
    rows = []
    for name in _names(groups):
        source = groups.get((name, "source"))
        if source is None or source.spread is None or source.spread.count < LEAST_SET:
            continue
        for method in METHODS:
            made = groups[name, method]
            distances = (made.frechet(source), made.kernel(source))
            cells = ("" if d is None else f"{d:.{digits}f}" for d, digits in zip(distances, (1, 2), strict=True))
            rows.append([name, method, source.spread.count, *cells])
    head = ["faces", "method", "n", "Fréchet distance", "kernel distance"]
    return Table("Reconstructions as a set against the photographs (SqueezeNet v1.1 features, 512-d)", head, rows)


def _control(groups: Groups) -> Table:
    """Say how much of what a lent animal region changes stays inside the region."""
    measured = [group for (name, _), group in groups.items() if name in DOMAINS and group.mean(CONTROL).count]
    rows = []
    for region in REGIONS if measured else ():
        share = Mean.merged(group.mean(region) for group in measured)
        asked = sum(group.mean(CONTROL).count for group in measured)
        rows.append([region, share.count, share.cell(3, alone=True), asked - share.count])
    head = ["region", "n", "share inside", "nothing changed"]
    return Table(
        "Region control: share of a one-region hybrid's changed energy inside the region (reach 1/16)", head, rows
    )
