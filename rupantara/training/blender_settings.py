"""Settings of a training of a child's network, and what they come to."""

from dataclasses import dataclass, fields

from rupantara.errors import UserError
from rupantara.models.blenders import ChildNetConfig
from rupantara.models.blenders.child_net import Kind
from rupantara.storage import manifest, tables
from rupantara.training.blender import BlenderObjective
from rupantara.training.pairs import Rule
from rupantara.training.vector_rows import shape_of

NOT_NEGATIVE = ("identity_weight", "kl_weight", "smooth_weight", "weight_decay")


@dataclass(frozen=True, kw_only=True)
class BlenderSettings(BlenderObjective):
    """What decides the network, beside the data: its kind, pairs, lengths, losses."""

    blender: Kind = "linear"
    """How two codes become one: average, product, linear or mlp."""
    refined: bool = True
    """Let a transformer encoder refine the blend."""
    keep_length: bool = False
    """Keep each token at its parents' mean length: sharper than a plain mean."""
    rule: Rule = "any"
    """Whom a pair may join: any, opposite_sex, like_age (10 years) or like_group, as far as the photographs' paths name it."""
    epochs: int = 5
    """Passes over the faces."""
    batch: int = 48
    """Faces in a step, each worker: half as many pairs (the paper's batch is 24)."""

    def objective(self) -> BlenderObjective:
        """Resolve the losses; UserError for numbers that cannot be."""
        negative = [name for name in NOT_NEGATIVE if getattr(self, name) < 0]
        if negative:
            flag, value = negative[0].replace("_", "-"), getattr(self, negative[0])
            raise UserError(f"--{flag} must not be negative, got {value:g}")
        if not 0 < self.identity_share <= 1:
            raise UserError(f"--identity-share must be above 0 and at most 1, got {self.identity_share:g}")
        if self.batch < 4 or self.epochs < 1:
            raise UserError(f"--batch must be at least 4 and --epochs 1, got {self.batch} and {self.epochs}")
        return BlenderObjective(**{field.name: getattr(self, field.name) for field in fields(BlenderObjective)})

    def network(self, features: str, columns: tuple[str, ...]) -> ChildNetConfig:
        """Resolve the network's sizes, as the columns of a features table with a codec's codes have them."""
        laid = tables.read_schema(features, manifest.require(features, "features").data[0].path)
        tokens, dim = shape_of(laid, columns[-1])
        tokens += shape_of(laid, columns[0])[-1] // dim if len(columns) > 1 else 0
        return ChildNetConfig(self.blender, tokens, dim, self.refined, self.keep_length)
