"""Faces to textures and landmarks, what the decoders of `001_…` are trained on."""

import hashlib
from collections.abc import Sequence

import numpy as np

from rupantara import schema
from rupantara.errors import UserError
from rupantara.features.extractor import ExtractorNetworks, FaceBatch, Spec
from rupantara.imaging import codec
from rupantara.landmarks.spline import DegenerateError
from rupantara.landmarks.texture import SIDE, rescale, texture_of
from rupantara.types import Landmarks, Picture

JPEG_QUALITY = 95
MEAN = "mean_landmarks"
"""Entry of a features table's manifest: the mean landmarks that its textures are warped to."""
PARENTS = "parents_of"
"""Entry of the manifest of morphs' features: the faces table that the morphs were made from."""


def mean_sha256(mean_landmarks: Sequence[float]) -> str:
    """Return what identifies a mean face; textures of another do not mix with its own."""
    return hashlib.sha256(np.asarray(mean_landmarks, np.float64).tobytes()).hexdigest()


class Textures:
    """A face warped to the mean landmarks (`texture`, JPEG of side `size`) and its landmarks in px of SIDE (`landmarks`)."""

    domains: tuple[str, ...] = ("human",)

    def __init__(self, spec: Spec, source: ExtractorNetworks) -> None:
        """Take the mean landmarks of the train split; UserError without."""
        if len(source.mean_landmarks) != 136:
            raise UserError(f"textures need 68 mean landmarks, got {len(source.mean_landmarks)} numbers")
        self._mean, self._size = np.array(source.mean_landmarks).reshape(68, 2), spec.size
        landmarks = schema.vector_field(schema.LANDMARKS, 68, 2, model_sha256=mean_sha256(source.mean_landmarks))
        self.columns = [schema.TEXTURE, landmarks]

    def __call__(self, faces: FaceBatch) -> list[np.ndarray]:
        """Warp each face that has landmarks; both columns are null where it has none, or none that allow a warp."""
        textures, landmarks = np.empty(len(faces.pictures), object), np.full((len(faces.pictures), 68, 2), np.nan)
        for i, (picture, points) in enumerate(zip(faces.pictures, faces.landmarks, strict=True)):
            texture = None if points is None else self._texture(picture, points)
            if points is not None and texture is not None:
                textures[i], landmarks[i] = texture, rescale(points, picture.shape[0], SIDE)
        return [textures, landmarks]

    def _texture(self, picture: Picture, points: Landmarks) -> bytes | None:
        try:
            return codec.encode_jpeg(texture_of(picture, points, self._mean, self._size), JPEG_QUALITY)
        except DegenerateError:
            return None


class Crops:
    """The aligned face at `size`, JPEG (`crop`): what a decoder of whole faces is taught, and what inversions are compared with."""

    domains: tuple[str, ...] = ("human",)

    def __init__(self, spec: Spec, source: ExtractorNetworks) -> None:
        """Take the size."""
        self._size = spec.size
        self.columns = [schema.CROP]

    def __call__(self, faces: FaceBatch) -> list[np.ndarray]:
        """Resize and encode each face."""
        crops = np.empty(len(faces.pictures), object)
        crops[:] = [codec.encode_jpeg(codec.resize(picture, self._size), JPEG_QUALITY) for picture in faces.pictures]
        return [crops]
