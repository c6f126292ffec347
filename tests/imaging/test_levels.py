"""Grey pictures of any depth show the face: right way round, neither black nor white."""

import io
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from rupantara.errors import Rejected
from rupantara.imaging import codec
from tests.conftest import REPOSITORY
from tests.hostile import FACE
from tests.hostile.craft import chunk, png, with_chunks

CASES = REPOSITORY.parent / "shared/cases"
GREY = np.asarray(Image.fromarray(FACE.image).convert("L"))
UNIT = GREY.astype(np.float64) / 255


def tiff(levels: np.ndarray, photometric: str = "minisblack") -> bytes:
    sink = io.BytesIO()
    tifffile.imwrite(sink, levels, photometric=photometric)
    return sink.getvalue()


def shows_the_face(data: bytes, tolerance: float = 1.0) -> None:
    decoded = codec.decode(data).astype(int)
    assert (decoded == decoded[..., :1]).all()
    assert np.abs(decoded[..., 0] - GREY).mean() <= tolerance


@pytest.mark.parametrize(
    "levels",
    [
        (UNIT * 65535).astype(np.uint16),
        (UNIT * 4095).astype(np.uint16),
        (UNIT * 1023).astype(np.uint16),
        (UNIT * 32767).astype(np.int16),
        (UNIT * 65535 - 32768).astype(np.int16),
        (UNIT * (2**32 - 1)).astype(np.uint32),
        (UNIT * 255).astype(np.uint32),
        (UNIT * (2**31 - 1)).astype(np.int32),
        UNIT.astype(np.float32),
        (UNIT * 255).astype(np.float32),
        (UNIT * 65535).astype(np.float32),
        (UNIT * 2 - 1).astype(np.float32),
    ],
    ids=["u16", "u12", "u10", "i15", "i16", "u32", "u8in32", "i31", "unit", "f255", "f65535", "tanh"],
)
def test_every_depth_and_range_shows_the_same_face(levels: np.ndarray) -> None:
    shows_the_face(tiff(levels))


@pytest.mark.parametrize("levels", [255 - GREY, ((1 - UNIT) * 65535).astype(np.uint16)], ids=["u8", "u16"])
def test_white_is_zero_is_no_negative(levels: np.ndarray) -> None:
    shows_the_face(tiff(levels, "miniswhite"))


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, 40.0, 1e30])
def test_one_odd_level_leaves_a_float_picture_as_it_is(odd: float) -> None:
    levels = UNIT.astype(np.float32)
    levels[3, 5] = odd
    shows_the_face(tiff(levels))


@pytest.mark.parametrize("levels", [np.full((64, 64), np.nan), UNIT * 900 - 450], ids=["no numbers", "no known range"])
def test_floats_that_say_no_black_and_white_are_rejected_in_one_line(levels: np.ndarray) -> None:
    with pytest.raises(Rejected) as rejected:
        codec.decode(tiff(levels.astype(np.float32)))
    assert rejected.value.reason == "undecodable" and "level" in rejected.value.detail


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_the_transparent_level_of_a_grey_png_is_mid_grey_and_the_others_stay(depth: int) -> None:
    top, clear = 2**depth - 1, 1
    levels = (np.arange(64).reshape(8, 8) * 7) % (top + 1) if depth < 16 else np.arange(64).reshape(8, 8) * 1021
    levels[0, :2] = clear, 0
    bits = np.unpackbits(levels.astype(">u2").reshape(8, 8, 1).view(np.uint8), axis=-1)[..., 16 - depth :]
    rows = np.packbits(bits.reshape(8, -1), axis=1)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    picture = with_chunks(png(8, 8, data, depth=depth, colour=0), chunk(b"tRNS", clear.to_bytes(2, "big")))
    decoded = codec.decode(picture)[..., 0]
    expected = np.where(levels == clear, 128, np.round(levels * 255 / top))
    np.testing.assert_allclose(decoded, expected, atol=1)


def test_the_transparent_colour_of_a_deep_png_is_read() -> None:
    deep = np.zeros((4, 4, 3), ">u2")
    deep[:2] = (514, 40_000, 9)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in deep))
    key = b"".join(int(v).to_bytes(2, "big") for v in (514, 40_000, 9))
    decoded = codec.decode(with_chunks(png(4, 4, data, depth=16, colour=2), chunk(b"tRNS", key)))
    np.testing.assert_array_equal(decoded[:2], 128)
    np.testing.assert_array_equal(decoded[2:], 0)


@pytest.mark.skipif(not CASES.exists(), reason="needs the cases of shared/, which lie outside the repository")
def test_the_reported_files_show_the_plain_one() -> None:
    folder = CASES / "decode"
    plain = codec.decode((folder / "plain.png").read_bytes())
    for path in sorted(folder.glob("*.*")):
        shown = codec.decode(path.read_bytes())
        if path.name.startswith("2 bit"):
            steps = np.round(plain / 85.0)
            np.testing.assert_array_equal(shown, np.where(steps == 1, 128, steps * 85))
            continue
        opaque = shown != 128
        assert np.corrcoef(shown[opaque], plain[opaque])[0, 1] > 0.99, path.name
        assert abs(shown[opaque].mean() - plain[opaque].mean()) < 2, path.name
