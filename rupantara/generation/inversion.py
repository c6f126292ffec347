"""Faces out of vectors of an identity network (`001_…`): landmarks and texture are decoded, and the texture is warped to the landmarks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from rupantara.errors import Rejected, UserError
from rupantara.generation import provenance
from rupantara.generation.decoder_loading import LoadedFaceDecoder, load_face
from rupantara.generation.face import batches
from rupantara.generation.protocol import Generated, Record
from rupantara.landmarks.texture import SIDE, rescale
from rupantara.models.face_decoder import DecodedFaces
from rupantara.models.spline_warp import DegenerateError
from rupantara.tensors import device_of, to_pictures

LEAST_SPREAD, MOST_SPREAD = 0.18, 4.0
"""Bounds on a vector, in standard deviations of each number over the decoder's training vectors.

Vectors like those of the training have a root mean square of 1, and half of their numbers within 0.7; the mean of eight people's
vectors has a root mean square of a third. A vector whose root mean square is below the first bound, or whose median magnitude is
above the second, comes from another network or was scaled.
"""


@dataclass(frozen=True)
class InversionRequest:
    """A vector [dim] of the decoder's network and what the face is called; `uri` is where it comes from, if that is known."""

    face_id: str
    vector: np.ndarray
    seed: int = 0
    uri: str = ""


class InversionGenerator:
    """Decodes vectors of people to faces."""

    kind = "inversion"

    def __init__(self, checkpoint: str | LoadedFaceDecoder, device: str = "cpu") -> None:
        """Load the landmark and the texture decoder."""
        self._loaded = load_face(checkpoint) if isinstance(checkpoint, str) else checkpoint
        self._loaded.model.to(device)

    @property
    def vector(self) -> str:
        """Return the features column whose vectors it decodes."""
        return self._loaded.config.vector

    def generate(self, requests: Sequence[InversionRequest]) -> list[list[Generated]]:
        """Return for each vector its texture and its face, or one reject; UserError where a vector is not of the decoder's length."""
        for request in requests:
            check_length(self._loaded, request.vector.shape[-1])
        return [made for part in batches(requests) for made in self._batch(part)]

    def rejected(self, request: InversionRequest, reject: Rejected) -> Generated:
        """Return the record of a face that could not be made."""
        return Generated(self._record(request, "inversion", {}), reject=reject)

    def _batch(self, requests: Sequence[InversionRequest]) -> Iterator[list[Generated]]:
        vectors = np.stack([np.array(request.vector, np.float32) for request in requests])
        reasons = [self._unusable(vector) for vector in vectors]
        usable = np.array([reason is None for reason in reasons])
        try:
            made = self._decode(np.where(usable[:, None], vectors, 0))
        except DegenerateError as error:
            if len(requests) == 1:
                yield [self.rejected(requests[0], Rejected("generate", "degenerate_landmarks", str(error)))]
                return
            # One face's points spoil its batch: find which.
            for request in requests:
                yield from self._batch([request])
            return
        pictures = (to_pictures(made.textures), to_pictures(made.images))
        points = rescale(made.points.cpu().numpy(), SIDE, self._loaded.config.texture.side)
        for i, (request, reason) in enumerate(zip(requests, reasons, strict=True)):
            if reason is not None:
                yield [self.rejected(request, reason)]
                continue
            about = {"landmarks_px": np.round(points[i].astype(np.float64), 2).tolist()}
            kinds = zip(("texture", "inversion"), pictures, strict=True)
            yield [Generated(self._record(request, kind, about), of_kind[i]) for kind, of_kind in kinds]

    @torch.inference_mode()
    def _decode(self, vectors: np.ndarray) -> DecodedFaces:
        return self._loaded.model(torch.from_numpy(vectors).to(device_of(self._loaded.model)))

    def _unusable(self, vector: np.ndarray) -> Rejected | None:
        """Say why a vector cannot be decoded: not finite, all zeros, or unlike those that the decoder was trained on."""
        if not np.isfinite(vector).all():
            return Rejected("generate", "not_finite", "the vector must be finite, got NaN or infinity")
        if not vector.any():
            return Rejected("generate", "zero", "the vector must not be all zeros, which stand for no face")
        device = device_of(self._loaded.model)
        standard = self._loaded.model.texture.standardize(torch.from_numpy(vector[None]).to(device))
        median, size = float(standard.abs().median()), float(standard.square().mean().sqrt())
        if median > MOST_SPREAD:
            rule = f"median magnitude must be at most {MOST_SPREAD:g} standard deviations of the training vectors"
            return Rejected("generate", "unlike", f"the vector's {rule}, got {median:.3g}")
        if size < LEAST_SPREAD:
            rule = f"root mean square must be at least {LEAST_SPREAD:g} standard deviations of the training vectors"
            return Rejected("generate", "unlike", f"the vector's {rule}, got {size:.3g}")
        return None

    def _record(self, request: InversionRequest, kind: str, about: dict[str, Any]) -> Record:
        about = {"vector": self.vector, **about} | ({"uri": request.uri} if request.uri else {})
        digests = self._loaded.sha256
        return provenance.record(kind, [request.face_id], about, seed=request.seed, model_sha256=digests)


def check_length(loaded: LoadedFaceDecoder, dim: int, where: str = "") -> None:
    """Raise UserError where vectors are not of the decoder's length; `where` says which vectors."""
    wanted = loaded.config.texture.input_dim
    if dim != wanted:
        raise UserError(f"vectors must have the decoder's {wanted} numbers ({loaded.config.vector}), got {dim}{where}")
