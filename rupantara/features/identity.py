"""The extractor `identity`: dlib's identity network, which ships; it stands in where MobileFaceNet is not given."""

import numpy as np
import pyarrow as pa
import torch

from rupantara import schema
from rupantara.faces.chips import dlib_chip
from rupantara.features.extractor import ExtractorNetworks, FaceBatch, Spec
from rupantara.models import dlib_identity
from rupantara.models.pretrained import load_dlib_identity
from rupantara.storage import weights

NAME, NETWORK = "identity", "face_recognition"
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class IdentityVectors:
    """dlib's network over its own alignment: `identity`, 128-d, unit length."""

    domains: tuple[str, ...] = ("human",)

    def __init__(self, spec: Spec, source: ExtractorNetworks, stored: pa.DataType) -> None:
        """Load the network from the folder, or the shipped one."""
        self._dtype, self._device = DTYPES[spec.precision], source.device
        self._model = load_dlib_identity(source.weights).to(source.device, self._dtype)
        digest = model_sha256(source)
        field = schema.vector_field(NAME, dlib_identity.DIM, model_sha256=digest, normalized=True, dtype=stored)
        self.columns: list[pa.Field] = [field]

    def __call__(self, faces: FaceBatch) -> list[np.ndarray]:
        """Align each face to dlib's template and embed it."""
        chips = np.stack([dlib_chip(picture, p) for picture, p in zip(faces.pictures, faces.keypoints, strict=True)])
        images = torch.from_numpy(chips).to(self._device).permute(0, 3, 1, 2).to(self._dtype)
        rows = self._model(images).float().cpu().numpy()
        return [rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)]


def model_sha256(source: ExtractorNetworks) -> str:
    """Return the hash of the network's file."""
    return weights.sha256(source.weights, NETWORK)
