"""Formats beside the common ones, and pictures of more than 8 bits, against values by hand."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from tierexp.errors import ImageDecodeError
from tierexp.imaging.decode import decode_image, holds_image, pixels_of, read_image_size

SMALL = np.array(
    [[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[0, 0, 0], [90, 90, 90], [255, 255, 255]]], np.uint8
)
DISPLAYED = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored.swapaxes(0, 1)[::-1, ::-1],
    8: lambda stored: np.rot90(stored),
}


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def orientation(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


def png(width: int, height: int, bits: int, colour: int, rows: bytes, transparent: bytes) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    body = chunk(b"tRNS", transparent) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_tiff_is_read_as_displayed(compression: str, turn: int) -> None:
    file = encoded(Image.fromarray(SMALL), "TIFF", compression=compression, exif=orientation(turn))
    displayed = DISPLAYED[turn](SMALL)
    np.testing.assert_array_equal(decode_image(file), displayed)
    assert read_image_size(file) == displayed.shape[:2]


def test_the_first_page_of_a_tiff(tmp_path: Path) -> None:
    path = tmp_path / "scan.tif"
    first, second = Image.new("RGB", (5, 4), "red"), Image.new("RGB", (7, 9), "blue")
    first.save(path, save_all=True, append_images=[second])
    np.testing.assert_array_equal(decode_image(path), np.array(first))
    assert read_image_size(path) == (4, 5)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "CMYK", "LAB", "YCbCr"])
def test_tiffs_of_every_mode(mode: str) -> None:
    image = Image.new("RGB", (6, 4), (255, 255, 255))
    if mode == "LAB":
        image = Image.new("LAB", (6, 4), (255, 128, 128))
    elif mode != "YCbCr":
        image = image.convert(mode)
    options = {"compression": "jpeg"} if mode == "YCbCr" else {}
    decoded = decode_image(encoded(image, "TIFF", **options))
    assert decoded.shape == (4, 6, 3)
    np.testing.assert_allclose(decoded.astype(int), 255, atol=2)


def test_damaged_tiffs_are_refused() -> None:
    file = encoded(Image.effect_noise((80, 60), 60), "TIFF", compression="tiff_lzw")
    for cut in (4, 20, len(file) // 2):
        with pytest.raises(ImageDecodeError):
            decode_image(file[:cut])


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow was built without AVIF")
@pytest.mark.parametrize("turn", range(1, 9))
def test_avif_is_read_as_displayed(turn: int) -> None:
    blocks = SMALL.repeat(16, 0).repeat(16, 1)
    file = encoded(
        Image.fromarray(blocks), "AVIF", quality=100, subsampling="4:4:4", exif=orientation(turn)
    )
    displayed = DISPLAYED[turn](blocks)
    decoded = decode_image(file)
    assert decoded.shape == displayed.shape
    assert read_image_size(file) == displayed.shape[:2]
    np.testing.assert_allclose(decoded.astype(int), displayed, atol=6)
    for cut in (40, len(file) // 2):
        with pytest.raises(ImageDecodeError):
            decode_image(file[:cut])


def test_an_avif_that_this_pillow_cannot_read_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "check", lambda feature: False)
    with pytest.raises(ImageDecodeError, match="this Pillow was built without it"):
        decode_image(b"\0\0\0\x1cftypavif")


def test_heic_names_the_package_that_reads_it(tmp_path: Path) -> None:
    """In a process of its own: what Pillow has been taught it does not forget."""
    heif = pytest.importorskip("pillow_heif")
    path = tmp_path / "IMG_0001.HEIC"
    blocks = SMALL.repeat(32, 0).repeat(32, 1)
    heif.from_pillow(Image.fromarray(blocks)).save(path, quality=100, chroma=444)
    lines = [
        "import sys, pathlib",
        "from tierexp.imaging.decode import decode_image, read_image_size",
        "from tierexp.errors import ImageDecodeError",
        "path = pathlib.Path(sys.argv[1])",
        "if len(sys.argv) > 2: sys.modules['pillow_heif'] = None",
        "try:",
        "    print(read_image_size(path), decode_image(path)[[16, 48], [16, 80]].tolist())",
        "except ImageDecodeError as error: print(error)",
    ]

    def said(*arguments: str) -> str:
        command = [sys.executable, "-c", "\n".join(lines), str(path), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    size, _, colours = said().partition(") ")
    assert size == "(64, 96"
    np.testing.assert_allclose(eval(colours), [[255, 0, 0], [255, 255, 255]], atol=8)
    refusal = said("without the package")
    assert refusal == f"{path}: HEIC is read by the package pillow-heif; " + (
        "pip install 'tierexp[heic]'"
    )


@pytest.mark.parametrize("turn", range(1, 9))
def test_heic_is_read_as_displayed(turn: int) -> None:
    heif = pytest.importorskip("pillow_heif")
    blocks = SMALL.repeat(32, 0).repeat(32, 1)
    file = io.BytesIO()
    image = Image.fromarray(blocks)
    heif.from_pillow(image).save(file, quality=100, chroma=444, exif=orientation(turn).tobytes())
    displayed = DISPLAYED[turn](blocks)
    decoded = decode_image(file.getvalue())
    assert decoded.shape == displayed.shape
    assert read_image_size(file.getvalue()) == displayed.shape[:2]
    np.testing.assert_allclose(decoded.astype(int), displayed, atol=10)


@pytest.mark.parametrize(
    ("bits", "rows", "transparent", "expected"),
    [
        (1, b"\0\x80", 1, [255, 0]),  # pixels 1, 0
        (1, b"\0\x80", 0, [255, 255]),
        (2, b"\0\x60", 1, [255, 170]),  # pixels 1, 2
        (2, b"\0\x60", 2, [85, 255]),
        (4, b"\0\x3a", 3, [255, 170]),  # pixels 3, 10
        (4, b"\0\x33", 10, [51, 51]),
        (8, b"\0\x30\x31", 0x30, [255, 0x31]),
        (16, b"\0\x30\x01\x30\x02", 0x3001, [255, 48]),
    ],
)
def test_the_transparent_grey_of_a_png(
    bits: int, rows: bytes, transparent: int, expected: list[int]
) -> None:
    file = png(2, 1, bits, 0, rows, struct.pack(">H", transparent))
    np.testing.assert_array_equal(decode_image(file)[0], [[grey] * 3 for grey in expected])


@pytest.mark.parametrize("opened_elsewhere", [False, True])
def test_the_transparent_colour_of_a_16_bit_png(opened_elsewhere: bool) -> None:
    """All 16 bits have to be equal: a colour of the same upper bytes is another one."""
    colours = np.array(
        [[[0x0102, 0x0304, 0x0506], [0x0102, 0x0304, 0x0507], [0xFFFF, 0, 0x8000]]], ">u2"
    )
    rows = b"\0" + colours.tobytes()
    file = png(3, 1, 16, 2, rows, colours[0, 0].tobytes())
    if opened_elsewhere:
        with Image.open(io.BytesIO(file)) as image:
            decoded = pixels_of(image)
    else:
        decoded = decode_image(file)
    np.testing.assert_array_equal(decoded, [[[255] * 3, [1, 3, 5], [255, 0, 128]]])


def test_the_transparent_colour_of_an_8_bit_png() -> None:
    file = png(2, 1, 8, 2, b"\0" + bytes([1, 2, 3, 1, 2, 4]), struct.pack(">HHH", 1, 2, 3))
    np.testing.assert_array_equal(decode_image(file), [[[255] * 3, [1, 2, 4]]])


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([0, 100, 255], np.int32, [0, 100, 255]),
        ([0, 257, 65535], np.int32, [0, 1, 255]),
        ([0, 32768, 65535], np.int32, [0, 128, 255]),
        ([0, 50_000, 100_000], np.int32, [0, 128, 255]),
        ([-100, 0, 100], np.int32, [0, 128, 255]),
        ([7, 7, 7], np.int32, [7, 7, 7]),
        ([0, 0.5, 1], np.float32, [0, 128, 255]),
        ([0, 0.2, 0.4], np.float32, [0, 51, 102]),
        ([0, 1.5, 254.6], np.float32, [0, 2, 255]),
        ([0, 6553.5, 65535], np.float32, [0, 26, 255]),
        ([-1, 0, 3], np.float32, [0, 64, 255]),
        ([0, 1e9, 4e9], np.float32, [0, 64, 255]),
        ([-3, -3, -3], np.float32, [0, 0, 0]),
    ],
)
def test_pictures_that_do_not_say_what_white_is(
    values: list[float], dtype: type, expected: list[int]
) -> None:
    image = Image.fromarray(np.array([values], dtype))
    assert image.mode == ("I" if dtype is np.int32 else "F")
    decoded = pixels_of(image)
    np.testing.assert_array_equal(decoded[0], [[grey] * 3 for grey in expected])
    np.testing.assert_array_equal(decode_image(encoded(image, "TIFF")), decoded)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_brightness_are_counted(value: float) -> None:
    image = Image.fromarray(np.array([[0, value, 1]], np.float32))
    with pytest.raises(ImageDecodeError, match="1 of 3 pixel values are not finite"):
        pixels_of(image)


@pytest.mark.parametrize("mode", ["La", "RGBa"])
def test_colours_that_are_multiplied_by_their_alpha(mode: str) -> None:
    """Grey 100 at half strength, on white: halfway between the two."""
    image = Image.new("LA", (1, 1), (100, 128))
    image = (image if mode == "La" else image.convert("RGBA")).convert(mode)
    np.testing.assert_allclose(pixels_of(image)[0, 0].astype(int), 177, atol=2)


@pytest.mark.parametrize(
    ("content", "name", "expected"),
    [
        (encoded(Image.fromarray(SMALL), "JPEG"), "a.jfif", True),
        (encoded(Image.fromarray(SMALL), "PNG"), "a", True),
        (encoded(Image.fromarray(SMALL), "GIF"), "a.txt", True),
        (encoded(Image.fromarray(SMALL), "WEBP"), "a.download", True),
        (encoded(Image.fromarray(SMALL), "AVIF"), "a", True),
        (encoded(Image.fromarray(SMALL), "TIFF"), "a", True),
        (encoded(Image.fromarray(SMALL), "TIFF"), "a.nef", False),
        (encoded(Image.fromarray(SMALL), "BMP"), "a", True),
        (b"BM is how this text begins", "a.txt", False),
        (b"\0\0\0\x18ftypheic", "a", True),
        (b"\0\0\0\x18ftypmp42", "a", False),
        (b"RIFF....WAVE", "a", False),
        (b"\xff\xd8", "a", False),
        (b"", "a", False),
    ],
)
def test_images_are_known_by_how_they_begin(
    tmp_path: Path, content: bytes, name: str, expected: bool
) -> None:
    (tmp_path / name).write_bytes(content)
    assert holds_image(tmp_path / name) is expected
