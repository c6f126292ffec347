"""The model card of a VAE of the zoo."""

import json
from collections.abc import Mapping

from rupantara.models.zoo import SIDE, ZooConfig
from rupantara.storage.recipe import Recipe

TITLES = {
    "vanilla": "Vanilla VAE",
    "beta": "Beta-VAE",
    "dfc": "Deep feature consistent VAE",
    "plain": "Plain VAE (PVAE)",
}


def zoo_card(config: ZooConfig, recipe: Recipe, metrics: Mapping[str, float]) -> str:
    """Describe a trained VAE of the zoo."""
    rows = "\n".join(f"| {name} | {value:.5g} |" for name, value in metrics.items())
    networks = "".join(f"\nIts loss stands on `{name}`, SHA-256 `{digest}`." for name, digest in recipe.models.items())
    return f"""---
library_name: rupantara
tags: [faces, vae]
license: other
---
# {TITLES[config.name]}, {SIDE} x {SIDE}

{config.latent_dim} latent dimensions; encoder channels {", ".join(map(str, config.channels))}. Aligned faces of people, as
`jobs.curate` crops them, RGB.{networks}

```python
from rupantara.generation import variation, zoo_loading

model = zoo_loading.load("FOLDER OR URI").model  # of the three files here
pictures = variation.from_prior(model, count=8, seed=0)
```

Pictures from it are synthetic. Its licence follows the photographs it was trained on (faces table
`{recipe.inputs.get("faces", "")[:16]}`; the `license` column says): where those are for research only, so is this model.

Recipe `{recipe.fingerprint}`, seed {recipe.config.get("seed")}; losses `{json.dumps(recipe.config.get("objective"))}`.

| metric (last epoch, averaged weights; val_ = held-out identities) | value |
| --- | --- |
{rows}
"""
