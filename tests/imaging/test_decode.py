"""Decoding against pixels that were written by hand, and files broken in every way."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tierexp.errors import ImageDecodeError
from tierexp.imaging.decode import decode_image, pixels_of, read_image_size

# (2, 3, 3): no two pixels alike, so that every turn and flip shows.
SMALL = np.array(
    [[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[0, 0, 0], [90, 90, 90], [255, 255, 255]]], np.uint8
)

# What the EXIF specification says of the stored rows and columns, as turns of the stored picture.
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


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def orientation(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def noise(height: int, width: int) -> Image.Image:
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))


@pytest.mark.parametrize(("form", "options"), [("PNG", {}), ("WEBP", {"lossless": True})])
def test_lossless_formats_give_the_pixels_that_were_written(form, options):
    file = encoded(Image.fromarray(SMALL), form, **options)
    np.testing.assert_array_equal(decode_image(file), SMALL)
    assert read_image_size(file) == (2, 3)


def test_jpeg_gives_nearly_the_pixels_that_were_written():
    smooth = np.linspace(0, 255, 64).astype(np.uint8)[:, None, None].repeat(48, 1).repeat(3, 2)
    decoded = decode_image(encoded(Image.fromarray(smooth), "JPEG", quality=95))
    assert decoded.shape == (64, 48, 3)
    assert np.abs(decoded.astype(int) - smooth).max() <= 3


def test_paths_and_bytes_are_alike_and_the_pixels_can_be_written_to(tmp_path: Path):
    path = tmp_path / "picture.png"
    path.write_bytes(encoded(Image.fromarray(SMALL)))
    decoded = decode_image(path)
    np.testing.assert_array_equal(decoded, SMALL)
    assert decoded.dtype == np.uint8
    assert decoded.flags.writeable
    assert decoded.flags.c_contiguous
    assert read_image_size(path) == (2, 3)


def test_grey_becomes_equal_channels():
    grey = np.array([[0, 100, 255]], np.uint8)
    decoded = decode_image(encoded(Image.fromarray(grey)))
    np.testing.assert_array_equal(decoded, grey[..., None].repeat(3, 2))


def test_one_bit_becomes_black_and_white():
    decoded = decode_image(encoded(Image.fromarray(np.array([[False, True]]))))
    np.testing.assert_array_equal(decoded, [[[0, 0, 0], [255, 255, 255]]])


def test_a_palette_becomes_its_colours():
    palette = Image.fromarray(np.array([[1, 0]], np.uint8))
    palette = palette.convert("P")
    palette.putpalette([10, 20, 30, 200, 100, 50])
    np.testing.assert_array_equal(decode_image(encoded(palette)), [[[200, 100, 50], [10, 20, 30]]])


def test_a_transparent_palette_entry_becomes_white():
    palette = Image.fromarray(np.array([[1, 0]], np.uint8)).convert("P")
    palette.putpalette([10, 20, 30, 200, 100, 50])
    file = encoded(palette, transparency=0)
    np.testing.assert_array_equal(decode_image(file), [[[200, 100, 50], [255, 255, 255]]])


@pytest.mark.parametrize("alpha", [0, 51, 128, 255])
def test_alpha_is_composited_on_white(alpha):
    file = encoded(Image.new("RGBA", (1, 1), (200, 100, 0, alpha)))
    share = alpha / 255
    expected = [share * colour + (1 - share) * 255 for colour in (200, 100, 0)]
    np.testing.assert_allclose(decode_image(file)[0, 0], expected, atol=1)


def test_grey_with_alpha_is_composited_on_white():
    file = encoded(Image.new("LA", (1, 1), (100, 0)))
    np.testing.assert_array_equal(decode_image(file), [[[255, 255, 255]]])


@pytest.mark.parametrize(
    ("ink", "colour"),
    [((0, 0, 0, 0), (255, 255, 255)), ((0, 0, 0, 255), (0, 0, 0)), ((255, 0, 0, 0), (0, 255, 255))],
)
def test_cmyk_becomes_rgb(ink, colour):
    decoded = decode_image(encoded(Image.new("CMYK", (16, 16), ink), "JPEG", quality=100))
    np.testing.assert_allclose(decoded[8, 8], colour, atol=2)


def test_sixteen_bit_grey_is_scaled_not_clipped():
    deep = np.linspace(0, 65535, 1000).astype(np.uint16)[None]
    decoded = decode_image(encoded(Image.fromarray(deep)))
    expected = np.round(deep / 65535 * 255)
    np.testing.assert_array_equal(decoded, expected[..., None].repeat(3, 2))


def test_sixteen_bit_colour_is_scaled_not_clipped():
    deep = np.array([[[0, 32768, 65535], [257, 12800, 40000]]], ">u2")
    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    body = zlib.compress(b"\0" + deep.tobytes())
    file = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", body)
    decoded = decode_image(file + png_chunk(b"IEND", b""))
    np.testing.assert_allclose(decoded, deep / 65535 * 255, atol=1)


@pytest.mark.parametrize("value", range(1, 9))
def test_exif_orientation_is_applied_to_pixels_and_size(value):
    file = encoded(Image.fromarray(SMALL), exif=orientation(value))
    displayed = DISPLAYED[value](SMALL)
    np.testing.assert_array_equal(decode_image(file), displayed)
    assert read_image_size(file) == displayed.shape[:2]


@pytest.mark.parametrize("form", ["JPEG", "WEBP", "PNG"])
def test_every_format_carries_its_orientation(form):
    file = encoded(Image.new("RGB", (30, 20)), form, exif=orientation(6))
    assert decode_image(file).shape == (30, 20, 3)
    assert read_image_size(file) == (30, 20)


def test_an_unknown_orientation_is_none():
    file = encoded(Image.fromarray(SMALL), exif=orientation(9))
    np.testing.assert_array_equal(decode_image(file), SMALL)


def test_damaged_exif_does_not_lose_the_picture():
    file = encoded(Image.fromarray(SMALL), exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    np.testing.assert_array_equal(decode_image(file), SMALL)
    assert read_image_size(file) == (2, 3)


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_a_size_is_read_from_the_header_alone(form):
    assert read_image_size(encoded(noise(150, 200), form)[:700]) == (150, 200)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_truncated_files_are_refused(form, share):
    file = encoded(noise(150, 200), form)
    with pytest.raises(ImageDecodeError):
        decode_image(file[: int(len(file) * share)])


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"RIFF"]
)
def test_what_is_no_image_is_refused_in_one_line(content):
    for read in (decode_image, read_image_size):
        with pytest.raises(ImageDecodeError) as error:
            read(content)
        assert "\n" not in str(error.value)
        assert len(str(error.value)) < 200


def test_a_corrupt_body_is_refused():
    file = bytearray(encoded(noise(150, 200)))
    file[len(file) // 2] ^= 0xFF
    with pytest.raises(ImageDecodeError):
        decode_image(bytes(file))


def test_missing_files_and_folders_are_named(tmp_path: Path):
    with pytest.raises(ImageDecodeError, match=r"absent\.png: no such file"):
        decode_image(tmp_path / "absent.png")
    with pytest.raises(ImageDecodeError):
        read_image_size(tmp_path)


@pytest.mark.parametrize("side", [20_000, 10_000])
def test_a_bomb_is_refused_before_it_is_decoded(side):
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    file = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", b"")
    for read in (decode_image, read_image_size):
        with pytest.raises(ImageDecodeError, match="exceed"):
            read(file + png_chunk(b"IEND", b""))


def test_the_pixel_limit_can_be_lowered():
    file = encoded(Image.new("RGB", (10, 10)))
    assert decode_image(file, max_pixels=100).shape == (10, 10, 3)
    with pytest.raises(ImageDecodeError, match="10 x 10 pixels exceed the limit of 99 pixels"):
        decode_image(file, max_pixels=99)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["JPEG", "PNG", "WEBP", "GIF"]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1),
)
def test_damaged_bytes_decode_or_are_refused_but_never_crash(form, flips):
    file = bytearray(encoded(noise(12, 17), form, exif=orientation(6)))
    for place, flip in flips:
        file[int(place * len(file))] ^= flip
    with contextlib.suppress(ImageDecodeError):
        decoded = decode_image(bytes(file))
        assert decoded.dtype == np.uint8
        assert read_image_size(bytes(file)) == decoded.shape[:2]


def animated_gif() -> bytes:
    frames = [Image.new("RGB", (5, 4), colour) for colour in ("red", "blue")]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])


def huge_exif() -> bytes:
    """As much EXIF as a JPEG segment holds."""
    exif = orientation(6)
    exif[0x010E] = "x" * 65_000
    return encoded(Image.new("RGB", (5, 4), "red"), "JPEG", exif=exif, quality=100)


def long_bomb() -> bytes:
    """A header that promises more pixels than are allowed, on one side."""
    header = struct.pack(">IIBBBBB", 2**31 - 1, 1, 8, 2, 0, 0, 0)
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", b"") + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


RED, WHITE = (255, 0, 0), (255, 255, 255)
ODD_FILES = {
    # What a file is: its bytes, and (height, width) with the first pixel, or why it is refused.
    "truncated": (lambda: encoded(noise(150, 200), "JPEG")[:-500], "truncated"),
    "zero bytes": (lambda: b"", "not an image"),
    "text renamed": (lambda: b"This is not a picture.\n", "not an image"),
    "1x1": (lambda: encoded(Image.new("RGB", (1, 1), RED)), (1, 1, RED)),
    "1x20000": (lambda: encoded(Image.new("RGB", (20_000, 1), RED)), (1, 20_000, RED)),
    "20000x1": (lambda: encoded(Image.new("RGB", (1, 20_000), RED)), (20_000, 1, RED)),
    "bomb": (long_bomb, "exceed"),
    "animated": (animated_gif, (4, 5, RED)),
    "CMYK": (
        lambda: encoded(Image.new("CMYK", (16, 8), (0, 255, 255, 0)), "JPEG", quality=100),
        (8, 16, RED),
    ),
    "16 bit": (lambda: encoded(Image.fromarray(np.full((2, 3), 65_535, np.uint16))), (2, 3, WHITE)),
    "palette with alpha": (
        lambda: encoded(Image.new("P", (3, 2), 0), transparency=b"\0"),
        (2, 3, WHITE),
    ),
    "wrong EXIF": (
        lambda: encoded(Image.new("RGB", (3, 2), RED), exif=b"Exif\0\0rubbish"),
        (2, 3, RED),
    ),
    "huge EXIF": (huge_exif, (5, 4, RED)),
}


@pytest.mark.parametrize("kind", ODD_FILES)
def test_odd_files_are_read_as_they_are_displayed_or_refused_in_one_line(
    tmp_path: Path, kind: str
) -> None:
    make, expected = ODD_FILES[kind]
    file = tmp_path / f"{kind}.png"
    file.write_bytes(make())
    if isinstance(expected, str):
        with pytest.raises(ImageDecodeError, match=expected) as caught:
            decode_image(file)
        assert "\n" not in str(caught.value)
        return
    height, width, colour = expected
    decoded = decode_image(file)
    assert decoded.shape == (height, width, 3)
    assert read_image_size(file) == (height, width)
    np.testing.assert_allclose(decoded[0, 0].astype(int), colour, atol=3)


@pytest.mark.parametrize("name", ["Größe 写真 🙂.png", "x" * 251 + ".png"])
def test_names_of_any_script_and_length_and_links_to_them(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(encoded(Image.fromarray(SMALL)))
    (tmp_path / "link").symlink_to(tmp_path / name)
    for path in (tmp_path / name, tmp_path / "link"):
        np.testing.assert_array_equal(decode_image(path), SMALL)


def test_names_no_file_can_have_and_links_that_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to(tmp_path / "absent")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    for path in (tmp_path / ("x" * 300), tmp_path / "dangling", tmp_path / "circle"):
        for read in (decode_image, read_image_size):
            with pytest.raises(ImageDecodeError) as caught:
                read(path)
            assert "\n" not in str(caught.value)


MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"]


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(MODES),
    st.sampled_from(["PNG", "JPEG", "WEBP", "GIF", "BMP"]),
    st.integers(1, 70),
    st.integers(1, 70),
    st.sampled_from([None, *range(1, 9)]),
)
def test_every_size_and_mode_that_can_be_written_is_read(mode, form, height, width, turn):
    image = Image.new(mode, (width, height), 1)
    options = {} if turn is None or form in ("GIF", "BMP") else {"exif": orientation(turn)}
    try:
        file = encoded(image, form, **options)
    except (OSError, KeyError, ValueError):  # a format that has no such mode
        return
    turned = options and turn in (5, 6, 7, 8)
    size = (width, height) if turned else (height, width)
    decoded = decode_image(file)
    assert (decoded.shape, decoded.dtype) == ((*size, 3), np.uint8)
    assert read_image_size(file) == size


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "CMYK", "I;16", "1"])
def test_a_picture_opened_elsewhere_has_the_same_pixels(tmp_path: Path, mode: str) -> None:
    """As `datasets` and lmms-eval open files: the pixels are those of the file."""
    if mode == "I;16":
        image = Image.fromarray(np.arange(0, 60000, 5000, dtype=np.uint16).reshape(3, 4))
    else:
        rgb = np.arange(36, dtype=np.uint8).reshape(3, 4, 3) * 7
        image = Image.fromarray(rgb).convert(mode)
    file = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    image.save(file)
    with Image.open(file) as opened:
        np.testing.assert_array_equal(pixels_of(opened), decode_image(file))


def test_a_picture_opened_elsewhere_is_turned_and_limited(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30)).save(tmp_path / "turned.jpg", exif=exif)
    with Image.open(tmp_path / "turned.jpg") as opened:
        assert pixels_of(opened).shape == (40, 30, 3)
        with pytest.raises(ImageDecodeError, match="40 x 30 pixels exceed the limit of 1199"):
            pixels_of(opened, max_pixels=1199)
    cut = encoded(Image.effect_noise((64, 64), 50))[:2000]
    with Image.open(io.BytesIO(cut)) as opened, pytest.raises(ImageDecodeError):
        pixels_of(opened)
