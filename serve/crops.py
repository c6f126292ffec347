"""Crops of a bank's features as answers show them."""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rupantara.generation.protocol import Generated
from rupantara.generation.region_looks import Feature, RegionLooks
from rupantara.imaging.codec import encode_jpeg
from rupantara.types import Picture
from serve.pictures import encode

KEPT = 4096
"""Crops kept, of some 4 KB each."""

CodesOf = Callable[[Sequence[str]], Mapping[str, np.ndarray]]
Rows = Mapping[str, list[dict[str, Any]]]
"""Region -> hits with `bank_id` and `species`."""


class Crops:
    """Adds to each hit of a search a picture of what it shows; decoded ones say that they are synthetic."""

    def __init__(self, looks: RegionLooks) -> None:
        """Take who shows features."""
        self._looks, self._kept = looks, dict[str, dict[str, Any]]()

    def add(self, found: Rows, codes_of: CodesOf) -> dict[str, list[dict[str, Any]]]:
        """Return the hits with `media_type`, `picture` (base64) and `photograph`, where the animal's looks or codes are known.

        `codes_of` gives animals' codes [5, dim] by the model, of those that are in the bank. What is not kept is decoded in one batch.
        """
        hits = [(row["bank_id"], region, row["species"]) for region, rows in found.items() for row in rows]
        new = [Feature(*hit) for hit in hits if hit[0] not in self._kept]
        codes = codes_of([feature.face_id for feature in new]) if new else {}
        new = [replace(feature, codes=codes.get(feature.face_id)) for feature in new]
        for feature, shown in zip(new, self._looks.show(new), strict=True):
            if shown is None:
                continue
            data = _file(shown)
            picture = {"media_type": "image/jpeg", "picture": base64.b64encode(data).decode()}
            self._kept[feature.bank_id] = picture | {"photograph": not isinstance(shown, Generated)}
        told = {region: [row | self._kept.get(row["bank_id"], {}) for row in rows] for region, rows in found.items()}
        while len(self._kept) > KEPT:
            del self._kept[next(iter(self._kept))]
        return told


def _file(shown: Generated | Picture) -> bytes:
    if not isinstance(shown, Generated):
        return encode_jpeg(shown)
    assert shown.picture is not None, "a crop is made, or there is none"
    return encode(shown.picture, shown.record, "jpeg")
