"""The model card of a decoder of faces from vectors."""

from collections.abc import Mapping

from rupantara.models.face_decoder import FaceDecoderConfig
from rupantara.storage.recipe import Recipe

TITLES = {
    "landmarks": "Landmark decoder",
    "texture": "Texture decoder",
    "single": "Decoder of whole faces",
    "joint": "Landmark and texture decoder, trained together",
}
MAKES = {
    "landmarks": "68 landmarks, px of a 224 x 224 picture",
    "texture": "a face's texture, its landmarks where the mean face has them",
    "single": "an aligned face",
    "joint": "landmarks and texture, joined by a spline warp to an aligned face",
}


def decoder_card(config: FaceDecoderConfig, recipe: Recipe, metrics: Mapping[str, float]) -> str:
    """Describe a trained decoder."""
    rows = "\n".join(f"| {name} | {value:.5g} |" for name, value in metrics.items())
    side = "" if config.part == "landmarks" else f", {config.texture.side} x {config.texture.side}"
    centers = 0 if config.part == "landmarks" else config.texture.kernel_centers
    held = (
        f" This file itself holds {centers} vectors of train faces (the kernel's centers): share it only where those could be shared."
        if centers
        else ""
    )
    networks = "".join(f"\n- `{name}`: `{digest or 'unknown'}`" for name, digest in recipe.models.items())
    return f"""---
library_name: rupantara
tags: [faces, embedding-inversion]
license: other
---
# {TITLES[config.part]}{side}

Makes {MAKES[config.part]}, of a vector `{config.vector}` of {config.texture.input_dim} numbers. Networks that made the vectors or stand in
its losses, SHA-256:
{networks}

```
python -m jobs.generate inversion --checkpoint FOLDER --features FEATURES --generated OUT
```

Who holds a face's vector can see by this about what the face looks like: vectors deserve the protection that faces have.{held}
Pictures from it are synthetic. Its licence follows the photographs it was trained on (features table
`{recipe.inputs.get("features", "")[:16]}`): where those are for research only, so is this model.

Recipe `{recipe.fingerprint}`, seed {recipe.config.get("seed")}.

| metric (last epoch, averaged weights; val_ = held-out identities) | value |
| --- | --- |
{rows}
"""
