"""What a generated picture says of itself: that it is synthetic, and what made it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from rupantara import __version__
from rupantara.generation.protocol import Record
from rupantara.imaging import codec
from rupantara.types import Picture

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's term for media made by a trained model."""


def request_id(**parts: Any) -> str:
    """Return 24 hex digits that depend on everything a picture was made from."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]


def record(
    kind: str,
    face_ids: Sequence[str],
    parameters: Mapping[str, Any],
    *,
    seed: int,
    model_sha256: Sequence[str],
    species: str = "human",
    bank_ids: Sequence[str] = (),
    scores: Mapping[str, float] | None = None,
) -> Record:
    """Return a picture's record; its request id is the hash of all that decides the picture, so equal requests have equal ids."""
    about = (tuple(face_ids), dict(parameters), seed, tuple(model_sha256), species)
    made = Record("", kind, *about, tuple(bank_ids), dict(scores or {}))
    return Record(request_id(**told(made)), kind, *about, made.bank_ids, made.scores)


def told(made: Record) -> dict[str, Any]:
    """Return what the row and the picture's metadata tell of how it was made."""
    about = {"kind": made.kind, "species": made.species, "face_ids": list(made.face_ids), "seed": made.seed}
    return {**made.parameters, **about, "model_sha256": list(made.model_sha256)}


def png(picture: Picture, kind: str, parameters: Mapping[str, Any]) -> bytes:
    """Encode as PNG whose metadata says that it is synthetic, and how it was made."""
    text = {
        "Software": f"rupantara {__version__}",
        "Description": f"Synthetic picture ({kind}), made by a trained model; no photograph.",
        "DigitalSourceType": SOURCE_TYPE,
        "Parameters": json.dumps(parameters, sort_keys=True),
    }
    return codec.encode_png(picture, text)
