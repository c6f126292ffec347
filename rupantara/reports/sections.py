"""Sections of the report, each read from a finished output alone."""

import json

from rupantara.metrics.affinity_file import AffinityResults
from rupantara.reports import figures
from rupantara.reports.html import Figure, Section
from rupantara.reports.reverse_mapping import drawings, sentences
from rupantara.reports.reverse_mapping.numbers import numbers
from rupantara.storage import manifest, uris


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


def affinity(results: AffinityResults) -> Section:
    """Say which species is nearest, by region and how surely, as the affinity table's own report does."""
    n = numbers(results)
    texts = [sentences.headline(n), sentences.by_region(n), sentences.over_spaces(n), sentences.CAUTION]
    drawn = [
        Figure("Probability of being nearer, by region and species", drawings.render(drawings.heat_map(n), "png")),
        Figure("Species over all regions, and the ranks they may have", drawings.render(drawings.ranking(n), "png")),
    ]
    return Section("Reverse mapping", texts, [], drawn)
