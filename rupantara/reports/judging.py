"""What a report says of the networks that judged, by whether they were there."""

from rupantara.metrics import metrics_table
from rupantara.storage.recipe import Recipe


def heads_text(recipe: Recipe) -> str:
    """Say whether the perceptual distance of an evaluation is weighted by LPIPS's learnt heads."""
    return "with the heads of LPIPS v0.1" if "lpips_squeeze" in recipe.models else "without learnt heads"


def lpips_text(recipe: Recipe) -> str:
    """Say what stands in for LPIPS."""
    return f"LPIPS* is LPIPS's formula on Caffe's SqueezeNet v1.1 {heads_text(recipe)}, not the published LPIPS."


def knows_identity(recipe: Recipe) -> bool:
    """Tell whether an evaluation measured identity."""
    return metrics_table.IDENTITY in recipe.models


def identity_text(recipe: Recipe, told: str) -> str:
    """Return what is told of the cosines of identity, or that they were not measured."""
    return told if knows_identity(recipe) else "Identity was not measured: that needs MobileFaceNet in --weights."
