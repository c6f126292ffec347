"""Any picture decodes to the same upright RGB, or says in one word why not."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image
from skimage.metrics import peak_signal_noise_ratio

from rupantara.errors import Rejected
from rupantara.imaging import codec
from tests.hostile import FACE, encoded, exif_jpeg, png, zero_rows

PICTURE = np.ascontiguousarray(FACE.image[:120])
"""Not square, so that a turned picture cannot pass for an upright one."""


def _save(image: Image.Image, kind: str, **options: object) -> bytes:
    return encoded(kind, image, **options)


def _reason(data: bytes, **options: int) -> str:
    with pytest.raises(Rejected) as rejected:
        codec.decode(data, **options)
    return rejected.value.reason


def test_png_round_trips_exactly_with_its_text() -> None:
    text = {"request": "ünïcödé 猫", "seed": "7"}
    data = codec.encode_png(PICTURE, text)
    np.testing.assert_array_equal(codec.decode(data), PICTURE)
    assert Image.open(io.BytesIO(data)).text == text


@pytest.mark.parametrize(("quality", "least_db"), [(95, 32), (60, 26)])
def test_jpeg_round_trips_nearly_and_in_colour_order(quality: int, least_db: float) -> None:
    data = codec.encode_jpeg(PICTURE, quality)
    assert peak_signal_noise_ratio(PICTURE, codec.decode(data)) > least_db
    np.testing.assert_allclose(codec.decode_jpeg(data).astype(int), codec.decode(data).astype(int), atol=4)


def test_a_pure_red_stays_red() -> None:
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 255
    for decoded in (codec.decode_jpeg(codec.encode_jpeg(red)), codec.decode(codec.encode_jpeg(red))):
        np.testing.assert_allclose(decoded.reshape(-1, 3).mean(0), [255, 0, 0], atol=3)


def test_better_quality_is_nearer_and_longer() -> None:
    files = [codec.encode_jpeg(PICTURE, quality) for quality in (20, 60, 95)]
    errors = [np.abs(codec.decode(data).astype(int) - PICTURE).mean() for data in files]
    assert errors[0] > errors[1] > errors[2]
    assert len(files[0]) < len(files[1]) < len(files[2])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_comes_out_upright(orientation: int) -> None:
    decoded = codec.decode(exif_jpeg(PICTURE, orientation))
    assert decoded.shape == PICTURE.shape
    assert peak_signal_noise_ratio(PICTURE, decoded) > 30


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "PNG"])
def test_lossless_formats_decode_exactly(kind: str) -> None:
    np.testing.assert_array_equal(codec.decode(encoded(kind, Image.fromarray(PICTURE))), PICTURE)


def test_sixteen_bits_become_eight_by_their_full_range() -> None:
    levels = np.linspace(0, 65535, 256).round().astype(np.uint16).reshape(16, 16)
    decoded = codec.decode(_save(Image.fromarray(levels), "PNG"))
    np.testing.assert_array_equal(decoded, np.repeat(np.arange(256).reshape(16, 16, 1), 3, axis=2))


def test_transparency_is_laid_on_mid_grey() -> None:
    rgba = np.zeros((4, 4, 4), np.uint8)
    rgba[..., 0], rgba[:2, :, 3], rgba[2, :, 3] = 255, 255, 128
    decoded = codec.decode(_save(Image.fromarray(rgba), "PNG"))
    np.testing.assert_array_equal(decoded[0, 0], [255, 0, 0])
    np.testing.assert_allclose(decoded[2, 0], [192, 64, 64], atol=1)
    np.testing.assert_array_equal(decoded[3, 0], [128, 128, 128])


def test_a_palette_s_transparent_colour_is_laid_on_mid_grey() -> None:
    image = Image.new("P", (4, 4), 0)
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putpixel((1, 1), 1)
    decoded = codec.decode(_save(image, "PNG", transparency=0))
    np.testing.assert_array_equal(decoded[0, 0], [128, 128, 128])
    np.testing.assert_array_equal(decoded[1, 1], [0, 255, 0])


def test_grey_and_cmyk_become_rgb() -> None:
    grey = Image.fromarray(PICTURE).convert("L")
    np.testing.assert_array_equal(codec.decode(_save(grey, "PNG")), np.repeat(np.asarray(grey)[..., None], 3, axis=2))
    cmyk = codec.decode(_save(Image.fromarray(PICTURE).convert("CMYK"), "JPEG", quality=95))
    assert peak_signal_noise_ratio(PICTURE, cmyk) > 28


def test_an_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((200, 10, 10), (10, 200, 10))]
    decoded = codec.decode(_save(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    np.testing.assert_array_equal(decoded[0, 0], [200, 10, 10])


def test_the_pixel_limit_holds_at_the_pixel() -> None:
    data = codec.encode_png(PICTURE)
    height, width = PICTURE.shape[:2]
    np.testing.assert_array_equal(codec.decode(data, max_pixels=height * width), PICTURE)
    assert _reason(data, max_pixels=height * width - 1) == "too_large"


def test_a_bomb_is_refused_by_its_header_in_little_memory(tmp_path: Path) -> None:
    """Held in a process of its own whose memory ends where the decoded picture would begin."""
    (tmp_path / "bomb.png").write_bytes(png(30_000, 30_000, zero_rows(30_000, 30_000 // 8), depth=1))
    code = (
        "import resource, sys\n"
        "from rupantara.errors import Rejected\n"
        "from rupantara.imaging import codec\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 60_000_000,) * 2)\n"
        "try:\n    codec.decode(open(sys.argv[1], 'rb').read())\n"
        "except Rejected as error:\n    print(error.reason)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, str(tmp_path / "bomb.png")]
    answer = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert answer.stdout.strip() == "too_large"


def test_nothing_is_empty_and_text_is_undecodable() -> None:
    assert _reason(b"") == "empty"
    assert _reason(b"<html></html>") == "undecodable"


def test_a_postscript_program_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object) -> None:
        raise AssertionError("Ghostscript was called")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", run)
    assert _reason(encoded("EPS")) == "undecodable"


def test_scans_of_a_progressive_jpeg_are_bounded_by_its_pixels() -> None:
    data = encoded("JPEG", progressive=True)
    repeated = data[:-2] + data[data.rindex(b"\xff\xda") : -2] * 95 + data[-2:]
    assert _outcome(repeated) == "decoded"
    assert _reason(repeated, max_pixels=160 * 160) == "too_large"


def test_a_jpeg_cut_anywhere_is_rejected_and_never_half_grey() -> None:
    data = codec.encode_jpeg(PICTURE)
    for cut in range(1, len(data) - 100, len(data) // 40):
        assert _reason(data[:cut]) in {"truncated", "undecodable"}, cut
    assert _reason(data[: len(data) // 2]) == "truncated"


def _outcome(data: bytes) -> str:
    try:
        codec.decode(data)
    except Rejected as error:
        return error.reason if "\n" not in error.detail else "several lines"
    return "decoded"


def test_random_damage_decodes_or_is_rejected_in_one_line() -> None:
    rng = np.random.default_rng(0)
    small = Image.fromarray(np.ascontiguousarray(PICTURE[::3, ::3]))
    sources = [_save(small, kind) for kind in ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")]
    outcomes = set()
    for number in range(600):
        data = bytearray(sources[number % len(sources)])
        for _ in range(rng.integers(1, 6)):
            data[rng.integers(min(len(data), int(rng.choice([40, 400, len(data)]))))] = rng.integers(256)
        outcomes.add(_outcome(bytes(data)))
    assert {"decoded", "undecodable", "truncated"} <= outcomes <= {"decoded", "undecodable", "truncated", "too_large"}


@pytest.mark.parametrize("kind", ["AVIF", "DDS"])
def test_a_damaged_avif_or_dds_is_undecodable(kind: str) -> None:
    data = bytearray(encoded(kind))
    if kind == "AVIF":
        data[int(0.6 * len(data)) :] = b"\xff" * (len(data) - int(0.6 * len(data)))
    else:
        data[80:84] = bytes(4)
    assert _reason(bytes(data)) in {"undecodable", "truncated"}


def test_resizing_keeps_the_mean_and_a_level_picture() -> None:
    square = np.ascontiguousarray(FACE.image)
    np.testing.assert_array_equal(codec.resize(square, 160), square)
    for size in (40, 80, 320):
        resized = codec.resize(square, size)
        np.testing.assert_allclose(resized.reshape(-1, 3).mean(0), square.reshape(-1, 3).mean(0), atol=1)
        assert (codec.resize(np.full((32, 32, 3), 77, np.uint8), size) == 77).all()


def test_halving_takes_the_mean_of_each_four_pixels() -> None:
    square = np.ascontiguousarray(FACE.image)
    means = square.reshape(80, 2, 80, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(codec.resize(square, 80), means, atol=0.51)
