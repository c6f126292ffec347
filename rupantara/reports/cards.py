"""Cards in Markdown: what a model or table was made from, and what may be done with it."""

from collections.abc import Mapping

from rupantara.models.region_vae import RegionVAEConfig
from rupantara.storage.manifest import Manifest
from rupantara.storage.recipe import Recipe


def table_card(found: Manifest) -> str:
    """Describe a table."""
    counts = found.counts
    rejected = "".join(f"| rejected: {reason} | {n} |\n" for reason, n in counts["rejected"].items())
    sources = "".join(
        f"- {name}: `{value}`\n" for name, value in {**found.recipe.inputs, **found.recipe.models}.items()
    )
    return f"""---
tags: [rupantara, {found.schema}]
license: other
---
# {found.schema}

Made by `jobs.{found.recipe.job}` (schema version {found.schema_version}, recipe `{found.fingerprint}`); the config is in
manifest.json, and readers take the files that it lists. Terms follow the source photographs: the faces table's `license` column.

| rows | |
| --- | --- |
| in | {counts["in"]} |
| accepted | {counts["accepted"]} |
{rejected}
Made from (fingerprints and SHA-256):

{sources}"""


def model_card(config: RegionVAEConfig, recipe: Recipe, metrics: Mapping[str, float], data: str = "") -> str:
    """Describe a trained region VAE; `data` says what it was trained on and under which terms."""
    rows = "\n".join(f"| {name} | {value:.5g} |" for name, value in metrics.items())
    return f"""---
library_name: rupantara
tags: [faces, vae, region-aware]
license: other
---
# Region VAE, {config.size} x {config.size}

A global code of {config.global_dim} and five region codes of {config.region_dim} (eyes, nose, mouth, ears, forehead), decoded as
human or as {", ".join(config.species) or "no species"}.

{data}

Pictures from it are synthetic. Its licence follows the photographs it was trained on (faces table
`{recipe.inputs.get("faces", "")[:16]}`; the `license` column says): where those are for research only, so is this model.

Recipe `{recipe.fingerprint}`, seed {recipe.config.get("seed")}.

| metric (last epoch, averaged weights; val_ = held-out identities) | value |
| --- | --- |
{rows}
"""


def landmarks_card(recipe: Recipe, metrics: Mapping[str, float]) -> str:
    """Describe a trained network of animals' landmarks."""
    rows = "\n".join(f"| {name} | {value:.5g} |" for name, value in metrics.items())
    return f"""---
library_name: rupantara
tags: [animals, landmarks]
license: other
---
# Landmarks of animals' heads

Finds heads and six points (eyes, nose pad, mouth, ear tips), their visibility and the view. SqueezeNet's features (BSD-2-Clause) under a
pyramid, trained on photographs marked by hand. Its licence follows these photographs: where they are for research only, so is it.

Recipe `{recipe.fingerprint}`, seed {recipe.config.get("seed")}.

| metric (last epoch, averaged weights) | value |
| --- | --- |
{rows}
"""
