"""Sections of the report, each read from a finished output alone."""

import json

import numpy as np
from scipy import stats

from rupantara.landmarks.regions import REGIONS
from rupantara.reports import figures
from rupantara.reports.html import Figure, Section, Table
from rupantara.storage import manifest, tables, uris


def training(checkpoint: str) -> Section:
    """Show the training curves and the last grid of sources and reconstructions."""
    found = manifest.require(checkpoint, "region_vae")
    log = [json.loads(line) for line in uris.read_bytes(uris.join(checkpoint, "log.jsonl")).splitlines()]
    seen = [row["images"] for row in log]
    psnr = {name: [row[f"val_{name}_psnr"] for row in log] for name in ("human", "animal")}
    loss = {name: [row[f"{name}_mse"] for row in log] for name in ("human", "animal")}
    grid = uris.read_bytes(uris.join(checkpoint, f"grids/epoch_{int(log[-1]['epoch']):04d}.png"))
    text = f"{seen[-1]} images seen in {found.seconds:.0f} s; weights {found.extra['model_sha256'][:16]}; recipe {found.fingerprint[:16]}."
    return Section(
        "Training",
        [text],
        [],
        [
            Figure(
                "PSNR of the validation split, averaged weights",
                figures.curves(psnr, seen, "Validation", "images seen", "PSNR (dB)"),
            ),
            Figure(
                "Training error (human: hybrids included)", figures.curves(loss, seen, "Training", "images seen", "MSE")
            ),
            Figure("Validation faces and animals: source above, reconstruction below", grid),
        ],
    )


def hybrids(generated: str) -> Section:
    """Show the contact sheet."""
    found = manifest.require(generated, "generated")
    config = found.recipe.config
    sheet = uris.read_bytes(uris.join(generated, "contact_sheet.png"))
    mixed = (
        "hybrids whose regions come from each species' nearest features in the bank; `nearest` takes for each region the nearest"
        " species."
    )
    if config["samples"]:
        text = f"{found.counts['accepted']} pictures. Each row: a person who does not exist, sampled from the prior, and {mixed}"
        return Section("Hybrids of sampled people", [text], [], [Figure("sample | hybrids by species", sheet)])
    split = config["split"] or "whole"
    text = (
        f"{found.counts['accepted']} pictures. Each row: a face of the {split} split, its reconstruction, and {mixed}"
    )
    return Section("Hybrids", [text], [], [Figure("source | reconstruction | hybrids by species", sheet)])


def families(generated: str) -> Section:
    """Show the contact sheet of children."""
    found = manifest.require(generated, "generated")
    sheet = uris.read_bytes(uris.join(generated, "contact_sheet.png"))
    text = (
        f"{found.counts['accepted']} pictures. Each row: two people who do not exist, siblings of theirs, and the first at three ages."
        " Surroundings, hair and light are the first parent's."
    )
    return Section("Children of sampled people", [text], [], [Figure("parents | siblings | ages", sheet)])


def morphs(uri: str) -> Section:
    """Show the sheet of morphs beside their parents."""
    found = manifest.require(uri, "faces")
    text = (
        f"{found.counts['accepted']} morphs of two people each, of the train split only: landmarks and texture averaged, blended into the"
        f" first face's surroundings. Parents are alike by {found.recipe.config['like']}."
        " jobs.train_vae --morphs trains on them too."
    )
    return Section(
        "Morphs", [text], [], [Figure("first | second | morph", uris.read_bytes(uris.join(uri, "contact_sheet.jpg")))]
    )


def _per_face(
    ids: np.ndarray, regions: np.ndarray, species: np.ndarray, values: np.ndarray, names: list[str]
) -> np.ndarray:
    """Arrange an affinity table's values: [faces, regions, species]."""
    faces, row = np.unique(ids, return_inverse=True)
    out = np.full((len(faces), len(REGIONS), len(names)), np.nan)
    column = np.searchsorted(names, species)
    for i, region in enumerate(REGIONS):
        at = regions == region
        out[row[at], i, column[at]] = values[at]
    return out


def _interval(values: np.ndarray) -> float:
    """Return half the 95 % interval of a mean by Student's t, 0 for a single value, of which there is none."""
    n = len(values)
    return float(stats.t.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n)) if n > 1 else 0.0


def _lead(per_face: np.ndarray, order: np.ndarray) -> tuple[str, bool]:
    """Return by how much the first species leads the second, face by face [faces, species], and whether beyond chance."""
    if per_face.shape[1] < 2:
        return "alone", False
    ahead = per_face[:, order[0]] - per_face[:, order[1]]
    if len(ahead) < 2:
        return f"{ahead.mean():.4f} (one face: no interval)", False
    interval = _interval(ahead)
    return f"{ahead.mean():.4f} ± {interval:.4f}", bool(ahead.mean() > interval)


def affinity(uri: str) -> Section:
    """Show mean and best similarity of each region to each species, and the ranking of species over all regions."""
    found = manifest.require(uri, "affinity")
    table = tables.read(uri, ("face_id", "region", "species", "mean", "max"), schema="affinity")
    faces = len(set(table["face_id"].to_pylist()))
    regions, species = np.array(table["region"].to_pylist()), np.array(table["species"].to_pylist())
    names = sorted(set(species.tolist()))
    values = {c: table[c].to_numpy().astype(np.float64) for c in ("mean", "max")}
    cells = {
        c: np.array([[v[(regions == r) & (species == s)].mean() for s in names] for r in REGIONS])
        for c, v in values.items()
    }
    per_face = _per_face(np.array(table["face_id"].to_pylist()), regions, species, values["mean"], names)
    by_face = per_face.mean(axis=1)
    overall = by_face.mean(axis=0).tolist()
    errors = [_interval(column) for column in by_face.T]
    best, leads = [], []
    for i, region in enumerate(REGIONS):
        order = np.argsort(-cells["mean"][i])
        lead, holds = _lead(per_face[:, i], order)
        leads.append(holds)
        best.append([region, *(f"{names[j]} ({cells['mean'][i, j]:.3f})" for j in order[:3]), lead])
    lead, holds = _lead(by_face, np.argsort(-np.array(overall)))
    ranked = [
        [i + 1, names[j], f"{overall[j]:.4f}", f"± {errors[j]:.4f}"]
        for i, j in enumerate(np.argsort(-np.array(overall)))
    ]
    ranked = [[row[1], row[0], *row[2:]] for row in ranked]
    text = (
        f"Cosine similarity of the region codes of {faces} human faces with the animal features of the bank. Similarities are those of"
        " this model's codes: they rank species for it, and say nothing about biology."
        f" Faces are of the {found.recipe.config['split'] or 'train, val and test'} split; the bank may hold animals that the model was"
        " trained on."
    )
    sure = (
        f"In {sum(leads)} of {len(REGIONS)} regions the first species leads the second by more than the 95 % interval of that lead over"
        f" these faces; over all regions it {'does' if holds else 'does not'} ({lead}). Where it does not, which of the two is first may be"
        " chance. The intervals are over faces: of how the animals of the bank were picked they know nothing, and another bank may rank"
        " species otherwise."
    )
    return Section(
        "Reverse mapping",
        [text, sure] if len(names) > 1 else [text],
        [
            Table(
                "Nearest species by region (mean cosine)",
                ["region", "first", "second", "third", "lead of the first"],
                best,
            ),
            Table(
                "Species over all regions (mean cosine, 95 % interval over faces)",
                ["species", "rank", "mean", "interval"],
                ranked,
            ),
        ],
        [
            Figure(
                "Mean cosine by region and species", figures.heatmap(cells["mean"], REGIONS, names, "Mean similarity")
            ),
            Figure(
                "Best match by region and species",
                figures.heatmap(cells["max"], REGIONS, names, "Best match, mean over faces"),
            ),
            Figure("Regions by species", figures.radar(cells["mean"].T, REGIONS, names, "Mean similarity")),
            Figure("Ranking over all regions", figures.ranking(names, overall, errors, "Affinity", "mean cosine")),
        ],
    )
