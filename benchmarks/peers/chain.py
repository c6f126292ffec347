"""The chain that all servers serve: photographs -> find, encode, retrieve, mix and decode -> PNG, with the objects that `serve` holds."""

import base64
from collections.abc import Sequence
from pathlib import Path

import cv2

from rupantara.bank import versions
from rupantara.landmarks.regions import REGIONS
from serve.bank import LocalBank
from serve.config import Config
from serve.faces import FaceFinder, with_codes
from serve.hybrids import HybridAsk, HybridMaker
from serve.pictures import encode

SHIPPED = Path(__file__).resolve().parents[2] / "pretrained"
SPECIES = "tiger"
MAX_BATCH = 8
"""Requests made together where a framework batches: as `serve.config.Scale.max_batch`."""


class Chain:
    """Find, encode, retrieve, decode and write, for several photographs at once."""

    def __init__(self, threads: int = 1) -> None:
        cv2.setNumThreads(1)
        self._finder = FaceFinder("", Config().limits.max_pixels)
        bank = LocalBank(versions.latest(str(SHIPPED / "bank")))
        self._maker = HybridMaker(str(SHIPPED / "region_vae"), bank, threads)
        self._species, self._amounts = dict.fromkeys(REGIONS, SPECIES), dict.fromkeys(REGIONS, 1.0)

    def make(self, photos: Sequence[bytes]) -> list[bytes]:
        """Return a hybrid of each photograph as a PNG file."""
        faces = [self._finder.find(photo)[0] for photo in photos]
        coded = [
            with_codes(face, codes.global_mu, codes.regions_mu, codes.model_sha256)
            for face, codes in zip(faces, self._maker.encode(faces), strict=True)
        ]
        made = self._maker.generate([HybridAsk(face, self._species, self._amounts) for face in coded])
        pictures = [(one.picture, one.record) for (one,) in made]
        return [encode(picture, record, "png") for picture, record in pictures if picture is not None]


def photo_of(body: dict[str, str]) -> bytes:
    """Return the photograph of a request: JSON with base64, which all three take."""
    return base64.b64decode(body["photo"])
