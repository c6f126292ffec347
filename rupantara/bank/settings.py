"""Settings of a bank's build, and what they come to on a features table."""

from dataclasses import dataclass
from typing import Literal

from rupantara import schema
from rupantara.bank.choice import Animals
from rupantara.bank.queries import alignment_of
from rupantara.bank.spec import CODES, BankSpec, model_of
from rupantara.landmarks.regions import REGIONS
from rupantara.storage import manifest, plan


@dataclass(frozen=True, kw_only=True)
class BankSettings:
    """Which animals a bank takes, and how their vectors are stored, indexed and compared."""

    vectors: Literal["regions_mu", "region_features"] = "regions_mu"
    """Column of the features table that the bank holds, a vector a region: regions_mu (codes, for mixing) or region_features (for
    likeness, and reverse mapping) (build)."""
    splits: tuple[str, ...] = schema.SPLITS
    """Splits of the animals that go in (build, add)."""
    most: int = 0
    """Most faces of each species (0 = all; build, add)."""
    choose: Literal["hash", "typical", "vivid"] = "hash"
    """How `most` are chosen: by hash; `typical`, whose aligned codes point most nearly where their species' mean does, which leaves
    out faces that are turned away or badly cut; or `vivid`, of the most typical those that reach farthest that way, which also
    leaves out weak codes, whose hybrids show hardly anything (build)."""
    store: Literal["float32", "float16"] = "float32"
    """Type of the stored vectors (build)."""
    index: str = "auto"
    """`flat` (scan), a FAISS factory string that ends in RFlat or Refine(SQfp16), or `auto`: flat up to 100,000 faces a shard, then
    an inverted file of fast-scan product codes, ranked again by the stored vectors (build)."""
    alignment: Literal["auto", "moments", "pooled", "none"] = "auto"
    """`moments` takes each domain's mean and spread out of the vectors before they are compared, `pooled` one mean of both domains, `none`
    nothing; `auto` is moments for regions_mu and pooled for all others (build)."""

    @property
    def aligned(self) -> str:
        """Return the kind of alignment, `auto` resolved."""
        if self.alignment != "auto":
            return self.alignment
        return "moments" if self.vectors == CODES else "pooled"

    def spec(self, features: str, target_recall: float) -> BankSpec:
        """Fit the alignment on a features table and return what decides the rows and indexes; UserError where the vectors lack."""
        found = manifest.require(features, "features")
        dim = plan.vector_dim(features, found, self.vectors) // len(REGIONS)
        model, half = model_of(features, found, self.vectors), self.store == "float16"
        alignment = alignment_of(features, dim, self.aligned, self.vectors)
        return BankSpec(dim, model, alignment, half, self.index, target_recall, self.vectors)

    def animals(self, features: str, seed: int) -> Animals:
        """Return the animals of a features table that the bank takes."""
        return Animals(features, self.splits, self.most, seed, self.choose, self.vectors)
