"""The card of a checkpoint of edits."""

from collections.abc import Mapping

from rupantara.storage.recipe import Recipe


def edits_card(codec: str, recipe: Recipe, measured: Mapping[str, Mapping[str, float]]) -> str:
    """Describe edit paths and what was found of them on held-out faces."""
    rows = "\n".join(
        f"| {name} | {found['faces']:.0f} | {found['held_out']:.0f} | {found['error']:.3g} | {found['error_of_median']:.3g} |"
        f" {found['correlation']:.2f} | {found['low']:g} to {found['high']:g} |"
        for name, found in measured.items()
    )
    return f"""---
library_name: rupantara
tags: [faces, editing]
license: other
---
# Edits of faces in the codes of `{codec}`

The mean code at each value of an attribute, other attributes held equal, and a linear readout of the value from a code. Labels are those
of the photographs' paths; of a smile, the expression network's probability of `happy`. An edit says how pictures of such
people differ on average, not how a person will look.

```
python -m jobs.generate child … --edits-from THIS_FOLDER --age 5 --edit sex=1
```

Recipe `{recipe.fingerprint}`. Its licence follows the photographs that it was trained on.

| edit | faces | held-out faces | error of the readout | error of the median | correlation | values |
| --- | --- | --- | --- | --- | --- | --- |
{rows}
"""
