"""The networks that children are made with, named by where they lie: hashed for a recipe, loaded on a worker."""

from dataclasses import dataclass

from rupantara.generation import child_loading, edits, loading
from rupantara.generation.child import ChildGenerator
from rupantara.models import pretrained
from rupantara.storage import checkpoints, weights

IDENTITY = "mobilefacenet"
"""The network by which children are scored: their identity cosine to both parents."""


@dataclass(frozen=True)
class ChildNetworks:
    """URIs of the region VAE, the blender, the edits ("" = none), and of a folder of networks ("" = none).

    Where the folder has IDENTITY, children are scored.
    """

    region_vae: str
    blender: str
    edits: str = ""
    weights: str = ""

    @property
    def scored(self) -> bool:
        """Tell whether children get scores."""
        return weights.has(self.weights, IDENTITY)

    def demand(self) -> None:
        """Raise UserError where the blender or the edits are of other codes than the region VAE's; no weights are read."""
        child_loading.demand(self.blender, child_loading.MODEL_TYPE, self.region_vae)
        if self.edits:
            child_loading.demand(self.edits, edits.MODEL_TYPE, self.region_vae)

    def sha256(self) -> dict[str, str]:
        """Return the SHA-256 of each network, by name."""
        found = {
            "region_vae": loading.model_sha256(self.region_vae),
            "blender": checkpoints.model_sha256(self.blender, child_loading.MODEL_TYPE),
        }
        found |= {"edits": checkpoints.model_sha256(self.edits, edits.MODEL_TYPE)} if self.edits else {}
        return found | ({IDENTITY: weights.sha256(self.weights, IDENTITY)} if self.scored else {})

    def generator(self) -> ChildGenerator:
        """Load the networks; UserError where the blender or the edits are of other codes than the region VAE's."""
        loaded = child_loading.load(self.blender, self.region_vae)
        paths = edits.load(self.edits) if self.edits else None
        embed = pretrained.load_embed(self.weights) if self.scored else None
        return ChildGenerator(loaded, paths, embed, weights.sha256(self.weights, IDENTITY) if self.scored else "")
