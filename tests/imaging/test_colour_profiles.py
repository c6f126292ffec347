"""Embedded colour profiles: what comes out is sRGB, as Little CMS makes it."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from rupantara.imaging import codec
from tests.conftest import REPOSITORY
from tests.hostile import FACE

CASES = REPOSITORY.parent / "shared/cases/icc"
PICTURE = Image.fromarray(FACE.image)


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    sink = io.BytesIO()
    image.save(sink, kind, **options)
    return sink.getvalue()


def profile_of(spaces: bytes, name: bytes, curve: bytes) -> bytes:
    """Return a profile from one space to another (`GRAYXYZ `), written by hand (ICC.1:2010, 7.2): `name` is the tag of its curve."""
    xyz = b"XYZ \0\0\0\0" + b"".join(int(v * 65536).to_bytes(4, "big") for v in (0.9642, 1.0, 0.8249))
    text = b"desc\0\0\0\0" + (7).to_bytes(4, "big") + b"linear\0" + bytes(78 + 3)
    tags, offset, body = b"", 128 + 4 + 3 * 12, b""
    for tag, data in ((b"desc", text), (b"wtpt", xyz), (name, curve)):
        tags += tag + (offset + len(body)).to_bytes(4, "big") + len(data).to_bytes(4, "big")
        body += data + bytes(-len(data) % 4)
    kind = b"mntr" if spaces.startswith(b"GRAY") else b"prtr"
    header = bytes(8) + b"\x02\x10\0\0" + kind + spaces + bytes(12) + b"acsp" + bytes(28) + xyz[8:] + bytes(48)
    profile = header + (3).to_bytes(4, "big") + tags + body
    return len(profile).to_bytes(4, "big") + profile[4:]


def gray_gamma_one() -> bytes:
    """Return a grey profile with a linear tone curve (10.6)."""
    return profile_of(b"GRAYXYZ ", b"kTRC", b"curv" + bytes(8))


def black_ink_alone() -> bytes:
    """Return a CMYK profile (lut8Type, 10.11) of a press whose cyan, magenta and yellow leave no colour: lightness is 100 less black."""
    corners = [(255 * (1 - (i & 1)), 128, 128) for i in range(16)]
    one = b"".join(v.to_bytes(4, "big") for v in (65536, 0, 0, 0, 65536, 0, 0, 0, 65536))
    table = (
        bytes([4, 3, 2, 0]) + one + bytes(range(256)) * 4 + bytes(v for c in corners for v in c) + bytes(range(256)) * 3
    )
    return profile_of(b"CMYKLab ", b"A2B0", b"mft1" + bytes(4) + table)


def test_a_linear_grey_profile_is_undone() -> None:
    linear = (np.linspace(0, 1, 256) * 255).astype(np.uint8)[None].repeat(8, 0)
    decoded = codec.decode(saved(Image.fromarray(linear), icc_profile=gray_gamma_one()))
    x = linear / 255.0
    srgb = np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055) * 255
    # Little CMS joins both curves into one table of 8 bits, which is coarse in the deepest shadows.
    np.testing.assert_allclose(decoded[:, 8:, 0], srgb[:, 8:], atol=2)


def test_inks_are_read_by_their_own_profile() -> None:
    ink = np.zeros((4, 9, 4), np.uint8)
    ink[..., :3] = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [90, 20, 200]])[:, None]
    ink[..., 3] = np.linspace(0, 255, 9)
    decoded = codec.decode(saved(Image.fromarray(ink, "CMYK"), "TIFF", icc_profile=black_ink_alone()))
    lightness = 100 - ink[..., 3] / 2.55
    y = np.where(lightness > 8, ((lightness + 16) / 116) ** 3, lightness * 27 / 24389)
    srgb = np.where(y <= 0.0031308, 12.92 * y, 1.055 * y ** (1 / 2.4) - 0.055) * 255
    np.testing.assert_allclose(decoded, srgb[..., None].repeat(3, -1), atol=2)


def test_an_srgb_profile_changes_nothing() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    np.testing.assert_array_equal(codec.decode(saved(PICTURE, icc_profile=profile)), FACE.image)


def test_transparency_and_turn_survive_a_profile() -> None:
    rgba = PICTURE.convert("RGBA")
    rgba.putalpha(Image.fromarray(np.repeat([[0], [255]], 80, 0).astype(np.uint8).repeat(160, 1)))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    decoded = codec.decode(saved(rgba, icc_profile=profile))
    np.testing.assert_array_equal(decoded[:80], 128)
    np.testing.assert_array_equal(decoded[80:], FACE.image[80:])


@pytest.mark.parametrize("profile", [b"no profile", gray_gamma_one()], ids=["broken", "of another space"])
def test_a_profile_that_does_not_fit_is_ignored_and_said(profile: bytes) -> None:
    shown = codec.read(saved(PICTURE, icc_profile=profile))
    np.testing.assert_array_equal(shown.picture, FACE.image)
    assert "ICC profile" in shown.remark and "\n" not in shown.remark


@pytest.mark.skipif(not CASES.exists(), reason="needs the cases of shared/, which lie outside the repository")
@pytest.mark.parametrize("name", ["p3", "adobe", "linear"])
def test_the_reported_files_come_out_as_little_cms_makes_them(name: str) -> None:
    data = (CASES / f"{name}.jpg").read_bytes()
    image = Image.open(io.BytesIO(data))
    source = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    made = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    decoded = codec.decode(data).astype(int)
    assert np.abs(decoded - np.asarray(made, int)).max() <= 2
    others = [codec.decode((CASES / f"{other}.jpg").read_bytes()).astype(int) for other in ("p3", "adobe", "linear")]
    assert all(np.abs(decoded - other).mean() < 2 for other in others)
