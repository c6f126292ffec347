"""The face in every sound picture, encoded by PIL, and what may become of a file."""

import io

import numpy as np
from PIL import Image

from rupantara.synthetic import draw_face

FACE = draw_face("human", 3, size=160)
"""The face in every sound picture, upright and whole: its points are theirs."""

PICTURE = Image.fromarray(FACE.image)
GREY = PICTURE.convert("L")
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, FACE.image.shape, np.uint8))

Files = dict[str, tuple[bytes, set[str]]]
"""Relative path -> the bytes, and the allowed outcomes: "accepted" or a reject reason."""

ACCEPTED, BROKEN, TOO_LARGE = {"accepted"}, {"truncated", "undecodable"}, {"too_large"}
DOUBTFUL = ACCEPTED | BROKEN
"""Damage beside the pixels: readers may differ, but what is accepted shows the face."""


def encoded(kind: str, picture: Image.Image | None = None, **options: object) -> bytes:
    """Encode a picture (FACE without one) with PIL; of a copy, because a save leaves its settings in the picture."""
    sink = io.BytesIO()
    (picture or PICTURE).copy().save(sink, kind, **options)
    return sink.getvalue()


JPEG = encoded("JPEG", quality=95)
PNG = encoded("PNG")


def turned(picture: np.ndarray, orientation: int) -> np.ndarray:
    """Store an upright picture so that EXIF's `orientation` shows it upright (its table of 0th row and 0th column)."""
    stored = {
        1: picture,  # row 0 at the top, column 0 at the left
        2: picture[:, ::-1],  # top, right
        3: picture[::-1, ::-1],  # bottom, right
        4: picture[::-1],  # bottom, left
        5: picture.swapaxes(0, 1),  # left, top
        6: picture[:, ::-1].swapaxes(0, 1),  # right, top
        7: picture[::-1, ::-1].swapaxes(0, 1),  # right, bottom
        8: picture[::-1].swapaxes(0, 1),  # left, bottom
    }
    return np.ascontiguousarray(stored[orientation])


def exif_jpeg(picture: np.ndarray, orientation: int) -> bytes:
    """Encode an upright picture as a camera held in this orientation does."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded("JPEG", Image.fromarray(turned(picture, orientation)), quality=95, exif=exif)


def every(pictures: dict[str, bytes], allowed: set[str]) -> Files:
    """Allow the same outcomes for each file of a table."""
    return {name: (data, allowed) for name, data in pictures.items()}
