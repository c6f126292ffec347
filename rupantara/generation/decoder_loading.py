"""Decoders of faces from vectors, out of their checkpoints, ready to run."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from rupantara.errors import MissingError, UserError
from rupantara.models import face_decoder
from rupantara.models.face_decoder import PARTS, FaceDecoder, FaceDecoderConfig
from rupantara.models.landmark_decoder import POINTS, LandmarkDecoder
from rupantara.models.texture_decoder import TextureDecoder, TextureDecoderConfig
from rupantara.storage import checkpoints, uris

MODEL_TYPE = "face_decoder"
"""Schema name of the checkpoint's manifest, and `model_type` of its config.json."""


@dataclass(frozen=True)
class LoadedDecoder:
    """A decoder ready to run on the CPU, what it was built as, and the SHA-256 of its weights."""

    model: nn.Module
    config: FaceDecoderConfig
    sha256: str


def config_dict(config: FaceDecoderConfig) -> dict[str, Any]:
    """Return the content of config.json."""
    return {"model_type": MODEL_TYPE, **asdict(config)}


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def read_config(uri: str) -> FaceDecoderConfig:
    """Read the config of a complete checkpoint."""
    values: dict[str, Any] = _tuples(
        {k: v for k, v in checkpoints.read_config(uri, MODEL_TYPE).items() if k != "model_type"}
    )

    def parsed() -> FaceDecoderConfig:
        values["texture"] = TextureDecoderConfig(**_tuples(values["texture"]))
        return FaceDecoderConfig(**values)

    return checkpoints.parse(uri, parsed)


def load(uri: str) -> LoadedDecoder:
    """Load one complete checkpoint for inference."""
    config = read_config(uri)
    model, sha256 = checkpoints.restore(uri, MODEL_TYPE, lambda: face_decoder.build(config, torch.zeros(POINTS, 2)))
    return LoadedDecoder(model, config, sha256)


def parts_of(uri: str) -> dict[str, str]:
    """Return the checkpoints by part of a folder that jobs.train_decoder wrote: part -> its URI; MissingError where there is none."""
    found = {part: uris.join(uri, part) for part in PARTS}
    found = {part: at for part, at in found.items() if checkpoints.model_type(at) == MODEL_TYPE}
    if not found:
        hint = "; it is one part: name the folder above" if checkpoints.model_type(uri) == MODEL_TYPE else ""
        raise MissingError(
            f"{uri!r} must be an output of jobs.train_decoder: it holds none of {', '.join(PARTS)}{hint}"
        )
    return found


@dataclass(frozen=True)
class LoadedFaceDecoder:
    """Both parts of the paper's decoder, of what vectors, and the SHA-256 of each one's weights."""

    model: FaceDecoder
    config: FaceDecoderConfig
    sha256: tuple[str, str]


def load_face(uri: str) -> LoadedFaceDecoder:
    """Load the landmark and the texture decoder of a folder; UserError where they are not of the same vectors and mean face."""
    found = parts_of(uri)
    missing = [part for part in ("landmarks", "texture") if part not in found]
    if missing:
        raise MissingError(
            f"{uri!r} must hold complete decoders of landmarks and texture, got none of {', '.join(missing)}"
        )
    landmarks, texture = load(found["landmarks"]), load(found["texture"])
    for part, one in (("landmarks", landmarks), ("texture", texture)):
        if one.config.part != part:
            raise UserError(f"{found[part]!r} must hold a decoder of the part {part}, got one of {one.config.part}")
    of = [(one.config.vector, one.config.vector_sha256, one.config.texture.input_dim) for one in (landmarks, texture)]
    if of[0] != of[1]:
        raise UserError(f"the decoders in {uri!r} must be of the same vectors, got {of[0]} and {of[1]}")
    assert isinstance(landmarks.model, LandmarkDecoder) and isinstance(texture.model, TextureDecoder)
    try:
        model = FaceDecoder(landmarks.model, texture.model)
    except ValueError as error:
        raise UserError(f"{uri!r}: {error}") from None
    return LoadedFaceDecoder(model.eval().requires_grad_(False), texture.config, (landmarks.sha256, texture.sha256))
