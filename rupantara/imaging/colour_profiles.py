"""Pictures with an embedded ICC profile to sRGB, by Little CMS."""

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

SPACES = {"RGB": "RGB", "CMYK": "CMYK", "L": "GRAY"}
"""Mode of a picture to the colour space that its profile must describe."""


@lru_cache(maxsize=32)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Build the transform to sRGB; None where it changes no colour by more than one level.

    Raise ValueError for a profile that cannot be read, or that describes another space than the picture's.
    """
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = str(source.profile.xcolor_space).strip()
        if space != SPACES[mode]:
            raise ValueError(f"the ICC profile is of {space}, the picture of {SPACES[mode]}")
        target = ImageCms.createProfile("sRGB")
        found = ImageCms.buildTransform(source, target, mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC)
        grid = _grid(mode)
        same = np.asarray(ImageCms.applyTransform(grid, found), int) - np.asarray(grid.convert("RGB"), int)
    except (ImageCms.PyCMSError, OSError) as error:
        raise ValueError(f"the ICC profile cannot be read: {error}") from error
    return found if np.abs(same).max() > 1 else None


def _grid(mode: str) -> Image.Image:
    """Return a small picture of colours from all over the space."""
    steps = np.arange(0, 256, 17, dtype=np.uint8)
    if mode == "L":
        return Image.fromarray(steps[None])
    cube = np.stack(np.meshgrid(*[steps[::3]] * len(mode), indexing="ij"), -1).reshape(1, -1, len(mode))
    return (
        Image.fromarray(np.ascontiguousarray(cube), mode=mode)
        if mode == "RGB"
        else Image.frombytes(mode, (cube.shape[1], 1), cube.tobytes())
    )


def to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Return an RGB, grey or CMYK picture in sRGB (mode RGB) by its profile, relative colorimetric.

    Raise ValueError, in one line, for a profile that is broken or not the picture's; the caller may show the picture
    as it is.
    """
    transform = _transform(profile, image.mode)
    if transform is None:
        return image.convert("RGB")
    shown = ImageCms.applyTransform(image, transform)
    assert shown is not None
    return shown
