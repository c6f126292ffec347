"""A face decoded from a vector (`001_…`, 4.1): landmark decoder and texture decoder, joined by the spline warp; with table 2's variants.

`landmarks` and `texture` are the paper's two parts, trained separately. `single` is the texture decoder's network, trained on whole faces.
`joint` holds both parts and is trained on the warped face and the landmarks together.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rupantara.landmarks.texture import SIDE, rescale
from rupantara.models.landmark_decoder import HIDDEN, LandmarkDecoder
from rupantara.models.spline_warp import warp
from rupantara.models.texture_decoder import TextureDecoder, TextureDecoderConfig
from rupantara.tensors import Images, PointSets

PARTS = ("landmarks", "texture", "single", "joint")


@dataclass(frozen=True)
class FaceDecoderConfig:
    """One decoder: its part, its vectors (the column of a features table, and the SHA-256 of the network that made it), and its sizes."""

    part: str
    vector: str
    vector_sha256: str = ""
    hidden: tuple[int, ...] = HIDDEN
    dropout: float = 0.0
    texture: TextureDecoderConfig = field(default_factory=TextureDecoderConfig)


class DecodedFaces(NamedTuple):
    """Landmarks in px of `landmarks.texture.SIDE`, textures, and the faces that they make."""

    points: PointSets
    textures: Images
    images: Images


class FaceDecoder(nn.Module):
    """Both parts and the warp between them."""

    def __init__(self, landmarks: LandmarkDecoder, texture: TextureDecoder) -> None:
        """Join two decoders of the same vectors; ValueError where their mean faces differ."""
        super().__init__()
        if not torch.allclose(landmarks.mean_points, texture.mean_points, atol=1e-3):
            raise ValueError("landmark and texture decoder must be trained about one mean face, got two")
        self.landmarks, self.texture = landmarks, texture

    def forward(self, vectors: Tensor) -> DecodedFaces:
        """Decode vectors [batch, input_dim]; DegenerateError where predicted landmarks allow no warp."""
        points, textures = self.landmarks(vectors), self.texture(vectors)
        return DecodedFaces(points, textures, lay(textures, points, self.texture.mean_points))


def lay(textures: Images, points: PointSets, mean_points: Tensor) -> Images:
    """Warp textures from the mean landmarks [68, 2] to each face's own; both in px of SIDE, whatever the textures' side."""
    side = textures.shape[-1]
    source = rescale(mean_points.float(), SIDE, side).expand(len(points), -1, -1)
    return warp(textures, source, rescale(points.float(), SIDE, side), boundary=True)


def build(config: FaceDecoderConfig, mean_points: Tensor) -> nn.Module:
    """Build a decoder with random weights about a mean face [68, 2], px of SIDE; ValueError for an unknown part."""
    if config.part not in PARTS:
        raise ValueError(f"part must be one of {', '.join(PARTS)}, got {config.part!r}")
    landmarks = LandmarkDecoder(config.texture.input_dim, mean_points, config.hidden, config.dropout)
    if config.part == "landmarks":
        return landmarks
    texture = TextureDecoder(config.texture)
    texture.mean_points.copy_(mean_points)
    return FaceDecoder(landmarks, texture) if config.part == "joint" else texture
