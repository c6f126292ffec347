"""What a generated picture says of itself: that it is synthetic, and what made it."""

import hashlib
import json
from typing import Any

from rupantara import __version__
from rupantara.imaging import codec
from rupantara.types import Picture

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's term for media made by a trained model."""


def request_id(**parts: Any) -> str:
    """Return 24 hex digits that depend on everything a picture was made from."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]


def png(picture: Picture, kind: str, parameters: dict[str, Any]) -> bytes:
    """Encode as PNG whose metadata says that it is synthetic, and how it was made."""
    text = {
        "Software": f"rupantara {__version__}",
        "Description": f"Synthetic picture ({kind}), made by a trained model; no photograph.",
        "DigitalSourceType": SOURCE_TYPE,
        "Parameters": json.dumps(parameters, sort_keys=True),
    }
    return codec.encode_png(picture, text)
