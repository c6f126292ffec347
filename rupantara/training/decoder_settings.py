"""Settings of a training of face decoders, and what they come to for each part."""

from dataclasses import dataclass, fields, replace
from typing import Literal

from rupantara.errors import UserError
from rupantara.models.face_decoder import PARTS
from rupantara.models.landmark_decoder import HIDDEN
from rupantara.models.texture_decoder import PRESETS, TextureDecoderConfig
from rupantara.training.decoder_rows import DecoderRows
from rupantara.training.decoders import DecoderObjective
from rupantara.training.streams import CHUNK_ROWS

LOSSES = ("perceptual_weight", "moment_weight", "identity_weight", "landmark_weight")
PICTURE = {"landmarks": "", "texture": "texture", "single": "crop", "joint": "crop"}
"""Column of the features table that each part's pictures are compared with."""


@dataclass(frozen=True, kw_only=True)
class DecoderSettings(DecoderObjective):
    """What decides the decoders, beside the data: parts, sizes, lengths, losses."""

    vector: str = "arcface"
    """Column of the vectors that faces are decoded from: arcface, arcface_features, vggface, or any other vectors of the table."""
    parts: str = "landmarks,texture"
    """Parts by comma, in this order: landmarks and texture (the paper's), single and joint (its ablations, which need the column
    crop)."""
    size: int = 224
    """Side of the textures: 224 (the paper's decoder), 112 or 56."""
    width: float = 1.0
    """Share of the channels that the decoder of this size has."""
    hidden: tuple[int, ...] = HIDDEN
    """Units of the landmark decoder's hidden layers."""
    linear: bool = False
    """Start pictures from a ridge regression by a linear path that the paper does not have (every preset but the default does)."""
    linear_rank: int = 0
    """Rank of the linear path (0 = that of the size), at most the length of its input."""
    kernel_centers: int = 0
    """Make the linear path linear in the vector's similarity to at most this many train vectors (0 = in the vector itself, which is
    best for arcface_features). If they are all of the train vectors, each is trained on as if left out of the regression."""
    perceptual_network: Literal["squeezenet", "vgg16", "vgg16_features"] = "squeezenet"
    """Network of the perceptual loss; it cannot judge the decoder. vgg16_features is VGG16's convolutions in half precision."""
    epochs: int = 40
    """Passes over the faces of pictures' parts."""
    landmark_epochs: int = 200
    """Passes over the faces of the landmark decoder."""
    batch: int = 32
    """Faces in a step, each worker."""
    landmark_batch: int = 128
    """Faces in a step of the landmark decoder, each worker."""
    dropout: float = 0.0
    """Share of the landmark decoder's hidden units that a step leaves out, against overfitting to few faces."""
    bfloat16: bool = True
    """Run the pictures' networks in bfloat16 autocast; landmarks are decoded in float32."""

    def names(self) -> tuple[str, ...]:
        """Resolve the parts to train, and check the numbers; UserError for what cannot be."""
        names = tuple(dict.fromkeys(name.strip() for name in self.parts.split(",")))
        unknown = [name for name in names if name not in PARTS]
        if unknown:
            raise UserError(f"--parts must be of {', '.join(PARTS)}, got {', '.join(map(repr, unknown))}")
        if str(self.size) not in PRESETS:
            raise UserError(f"--size must be one of {', '.join(PRESETS)}, got {self.size}")
        counts = {name: getattr(self, name) for name in ("batch", "landmark_batch", "epochs", "landmark_epochs")}
        if min(self.batch, self.landmark_batch) < 2 or min(counts.values()) < 1:
            raise UserError(f"--batch and --landmark-batch must be at least 2 and epochs 1, got {counts}")
        if max(self.batch, self.landmark_batch) > CHUNK_ROWS:
            raise UserError(
                f"--batch and --landmark-batch must be at most {CHUNK_ROWS}, the rows shuffled at a time, got {counts}"
            )
        negative = {name: getattr(self, name) for name in LOSSES if getattr(self, name) < 0}
        if negative:
            raise UserError(f"weights of losses must not be negative, got {negative}")
        if self.kernel_centers < 0 or (self.kernel_centers and not self.linear):
            raise UserError(
                f"--kernel-centers must not be negative, and 0 without --linear, got {self.kernel_centers}, linear {self.linear}"
            )
        if not 0 < self.width <= 4 or not self.hidden or min(self.hidden) < 1:
            raise UserError(
                f"--width must be above 0 and at most 4, --hidden at least one layer of units, got {self.width}, {self.hidden}"
            )
        if not 0 <= self.dropout < 1:
            raise UserError(f"--dropout must be at least 0 and below 1, got {self.dropout}")
        if not 0 <= self.beta1 < 1 or self.decay < 0:
            raise UserError(
                f"--beta1 must be at least 0 and below 1, --decay not negative, got {self.beta1}, {self.decay}"
            )
        return names

    def objective(self, part: str) -> DecoderObjective:
        """Resolve a part's losses and the optimiser's settings."""
        found = DecoderObjective(**{field.name: getattr(self, field.name) for field in fields(DecoderObjective)})
        if part == "landmarks":
            return replace(found, **dict.fromkeys(LOSSES, 0.0), bfloat16=False)
        return found if part == "joint" else replace(found, landmark_weight=0.0)

    def texture(self, dim: int) -> TextureDecoderConfig:
        """Resolve the sizes of the pictures' network for vectors of a length."""
        chosen = replace(PRESETS[str(self.size)], input_dim=dim)
        start, channels = self._scaled(chosen.start_channels), tuple(map(self._scaled, chosen.channels))
        chosen = replace(chosen, start_channels=start, channels=channels)
        if not self.linear:
            return replace(chosen, linear_rank=0, linear_side=0)
        centers = self.kernel_centers
        rank, side = self.linear_rank or chosen.linear_rank or 128, chosen.linear_side or min(112, chosen.side)
        rank = min(rank, centers or dim)
        return replace(chosen, linear_rank=rank, linear_side=side, kernel_centers=centers)

    def _scaled(self, channels: int) -> int:
        return max(8, round(self.width * channels))

    def lengths(self, part: str) -> tuple[int, int]:
        """Return the faces in a step and the passes of a part."""
        return (self.landmark_batch, self.landmark_epochs) if part == "landmarks" else (self.batch, self.epochs)

    def dropped(self, part: str) -> float:
        """Return the dropout of a part, 0 where it decodes no landmarks."""
        return self.dropout if part in ("landmarks", "joint") else 0.0

    def rows(self, part: str) -> DecoderRows:
        """Say which columns a part reads."""
        return DecoderRows(self.vector, PICTURE[part], self.size, part != "landmarks" and self.identity_weight > 0)
