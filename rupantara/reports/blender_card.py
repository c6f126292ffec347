"""The model card of a child's network."""

import json
from collections.abc import Mapping

from rupantara.models.blenders import ChildNetConfig
from rupantara.storage.recipe import Recipe


def blender_card(config: ChildNetConfig, codec: str, recipe: Recipe, metrics: Mapping[str, float]) -> str:
    """Describe a trained network."""
    rows = "\n".join(f"| {name} | {value:.5g} |" for name, value in metrics.items())
    refined = "with the refiner" if config.refined else "without a refiner"
    return f"""---
library_name: rupantara
tags: [faces, children]
license: other
---
# Children of two parents: {config.kind}, {refined}

Blends standardized tokens [{config.tokens}, {config.dim}] of the codec `{codec}` (*Child Face Synthesis from Parents*, 2025, 3.3 to
3.5). No child's photograph was seen: its losses ask for a face that both parents' identities are in. It says nothing of what a child
would look like.

```
python -m jobs.generate child --checkpoint THE_CODEC --blender THIS_FOLDER --faces FACES --pairs pairs.csv --generated OUT
```

Pictures from it are synthetic. Its licence follows the photographs that it and its codec were trained on.

Recipe `{recipe.fingerprint}`, seed {recipe.config.get("seed")}; losses `{json.dumps(recipe.config.get("objective"))}`.
Identity in the losses is MobileFaceNet's: another network has to judge it.

| metric (last epoch, averaged weights; val_ = held-out people) | value |
| --- | --- |
{rows}
"""
