"""The model card of a flow prior."""

import json
from collections.abc import Mapping

from rupantara.models.flow_prior import FlowPriorConfig
from rupantara.storage.recipe import Recipe


def prior_card(config: FlowPriorConfig, recipe: Recipe, metrics: Mapping[str, float]) -> str:
    """Describe a trained prior."""
    rows = "\n".join(f"| {name} | {value:.5g} |" for name, value in metrics.items())
    return f"""---
library_name: rupantara
tags: [faces, prior, flow-matching]
license: other
---
# People who do not exist: a prior of a region VAE's codes

Draws codes by flow matching (Lipman et al., 2023) along {config.dim} directions of people's codes; age, sex and group may be given.

```
python -m jobs.generate hybrid --samples 12 --prior THIS_FOLDER --checkpoint THE_CODEC --bank BANK --generated OUT
```

Pictures from it are synthetic. They are nobody's. Its licence follows the photographs that it was trained on. Groups are those that
the paths of the training photographs name (UTKFace: 0 to 4); few people of an age or group make their samples poor.

Recipe `{recipe.fingerprint}`, seed {recipe.config.get("seed")}; objective `{json.dumps(recipe.config.get("objective"))}`.

| metric (last epoch, averaged weights; val_ = held-out people) | value |
| --- | --- |
{rows}
"""
