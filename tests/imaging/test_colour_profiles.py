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


def gray_gamma_one() -> bytes:
    """Return a grey profile with a linear tone curve, written by hand (ICC.1:2010, 7.2 and 10.6)."""
    xyz = b"XYZ \0\0\0\0" + b"".join(int(v * 65536).to_bytes(4, "big") for v in (0.9642, 1.0, 0.8249))
    curve = b"curv\0\0\0\0\0\0\0\0"
    text = b"desc\0\0\0\0" + (7).to_bytes(4, "big") + b"linear\0" + bytes(78 + 3)
    tags, offset, body = b"", 128 + 4 + 3 * 12, b""
    for name, data in ((b"desc", text), (b"wtpt", xyz), (b"kTRC", curve)):
        tags += name + (offset + len(body)).to_bytes(4, "big") + len(data).to_bytes(4, "big")
        body += data + bytes(-len(data) % 4)
    header = (
        bytes(4) + bytes(4) + b"\x02\x10\0\0" + b"mntrGRAYXYZ " + bytes(12) + b"acsp" + bytes(28) + xyz[8:] + bytes(48)
    )
    profile = header + (3).to_bytes(4, "big") + tags + body
    return len(profile).to_bytes(4, "big") + profile[4:]


def test_a_linear_grey_profile_is_undone() -> None:
    linear = (np.linspace(0, 1, 256) * 255).astype(np.uint8)[None].repeat(8, 0)
    decoded = codec.decode(saved(Image.fromarray(linear), icc_profile=gray_gamma_one()))
    x = linear / 255.0
    srgb = np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055) * 255
    # Little CMS joins both curves into one table of 8 bits, which is coarse in the deepest shadows.
    np.testing.assert_allclose(decoded[:, 8:, 0], srgb[:, 8:], atol=2)


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
