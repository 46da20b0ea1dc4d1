"""The pixels of JPEG files, whoever decodes them, are Pillow's."""

from __future__ import annotations

import contextlib
import io
import itertools
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps

from tierexp.errors import ImageDecodeError
from tierexp.imaging.decode import decode_image, pixels_of, read_image_size

SAMPLINGS = (0, 1, 2, "4:1:1")


def scene(height: int, width: int, seed: int = 0) -> Image.Image:
    """Smooth and sharp parts, so that chroma and luma both matter."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def jpeg(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def by_pillow(file: bytes, least: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """What Pillow alone gives; it is told the size as it is stored."""
    with Image.open(io.BytesIO(file)) as image:
        if least is not None:
            image.draft(None, least[::-1])
        turned = ImageOps.exif_transpose(image)
        return np.array(turned.convert("RGB"))


@pytest.fixture
def decoded_elsewhere(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The files that the fast decoder was given and gave back."""
    files: list[bytes] = []
    fast = simplejpeg.decode_jpeg

    def watched(content: bytes, *arguments: object, **options: object) -> NDArray[np.uint8]:
        pixels = fast(content, *arguments, **options)
        files.append(content)
        return pixels

    monkeypatch.setattr(simplejpeg, "decode_jpeg", watched)
    return files


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("quality", [5, 75, 100])
def test_every_kind_of_file_has_the_same_pixels(
    mode: str, progressive: bool, quality: int, decoded_elsewhere: list[bytes]
) -> None:
    sizes = ((1, 1), (3, 2), (8, 8), (17, 33), (120, 151))
    for (height, width), sampling in itertools.product(sizes, SAMPLINGS):
        options = {"subsampling": sampling} if mode == "RGB" else {}
        file = jpeg(
            scene(height, width).convert(mode),
            quality=quality, progressive=progressive, **options,
        )  # fmt: skip
        decoded = decode_image(file)
        np.testing.assert_array_equal(decoded, by_pillow(file))
        assert decoded.flags.writeable
        assert decoded.flags.c_contiguous
        assert decoded_elsewhere.pop() == file


@pytest.mark.parametrize("sampling", ["444", "422", "420", "440", "411"])
def test_samplings_that_pillow_does_not_write(
    sampling: str, decoded_elsewhere: list[bytes]
) -> None:
    for height, width in ((1, 1), (9, 31), (64, 50)):
        pixels = np.array(scene(height, width))
        file = simplejpeg.encode_jpeg(pixels, 85, colorsubsampling=sampling)
        np.testing.assert_array_equal(decode_image(file), by_pillow(file))
        assert decoded_elsewhere.pop() == file


def test_files_without_a_colour_transform_and_with_restarts(
    decoded_elsewhere: list[bytes],
) -> None:
    for options in ({"keep_rgb": True}, {"restart_marker_rows": 1}, {"optimize": True}):
        file = jpeg(scene(50, 70), quality=90, **options)
        np.testing.assert_array_equal(decode_image(file), by_pillow(file))
        assert decoded_elsewhere.pop() == file


def test_cmyk_is_left_to_pillow(decoded_elsewhere: list[bytes]) -> None:
    for sampling in (0, 2):
        file = jpeg(scene(33, 40).convert("CMYK"), quality=90, subsampling=sampling)
        np.testing.assert_array_equal(decode_image(file), by_pillow(file))
    assert not decoded_elsewhere


@pytest.mark.parametrize("turn", range(1, 9))
def test_turned_files(turn: int, decoded_elsewhere: list[bytes]) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    file = jpeg(scene(30, 45), exif=exif)
    decoded = decode_image(file)
    np.testing.assert_array_equal(decoded, by_pillow(file))
    assert decoded.flags.c_contiguous
    assert decoded_elsewhere == [file]


def test_the_first_of_several_pictures(tmp_path: Path, decoded_elsewhere: list[bytes]) -> None:
    """A camera's file for a stereo picture or with a preview."""
    path = tmp_path / "stereo.mpo"
    scene(40, 60).save(path, "MPO", save_all=True, append_images=[scene(40, 60, seed=1)])
    decoded = decode_image(path)
    np.testing.assert_array_equal(decoded, by_pillow(path.read_bytes()))
    assert len(decoded_elsewhere) == 1
    with Image.open(path) as opened:
        opened.seek(1)
        second = np.array(opened.convert("RGB"))
    with Image.open(path) as opened:
        opened.seek(1)
        np.testing.assert_array_equal(pixels_of(opened), second)
    assert not np.array_equal(decoded, second)


def test_what_follows_a_picture_is_no_part_of_it() -> None:
    file = jpeg(scene(30, 40))
    expected = by_pillow(file)
    for longer in (file + b"\0" * 5000, file + b"trailer", file + file):
        np.testing.assert_array_equal(decode_image(longer), expected)


def test_a_picture_that_somebody_has_painted_on_keeps_the_paint() -> None:
    with Image.open(io.BytesIO(jpeg(scene(30, 40)))) as opened:
        opened.paste((1, 2, 3), (0, 0, 40, 30))
        np.testing.assert_array_equal(pixels_of(opened), np.full((30, 40, 3), (1, 2, 3)))


def test_a_picture_that_somebody_has_asked_for_smaller_stays_small() -> None:
    file = jpeg(scene(300, 400))
    with Image.open(io.BytesIO(file)) as opened:
        opened.draft(None, (100, 75))
        np.testing.assert_array_equal(pixels_of(opened), by_pillow(file, (75, 100)))


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["RGB", "L", "CMYK"]),
    st.booleans(),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), max_size=4),
    st.floats(0.2, 1),
)
def test_damaged_files_are_shown_or_refused_as_pillow_does(mode, progressive, flips, share) -> None:
    file = bytearray(jpeg(scene(40, 52).convert(mode), progressive=progressive, quality=80))
    for place, flip in flips:
        file[int(place * len(file))] ^= flip
    content = bytes(file[: int(share * len(file))])
    expected = None
    with contextlib.suppress(Exception):
        expected = by_pillow(content)
    if expected is None:
        with pytest.raises(ImageDecodeError):
            decode_image(content)
    else:
        np.testing.assert_array_equal(decode_image(content), expected)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["RGB", "L", "CMYK"]),
    st.tuples(st.integers(1, 200), st.integers(1, 200)),
    st.tuples(st.integers(1, 100), st.integers(1, 100)),
    st.booleans(),
)
def test_scaled_pixels_are_pillows_and_never_fewer_than_asked_for(mode, size, least, sideways):
    exif = Image.Exif()
    exif[0x0112] = 6 if sideways else 1
    file = jpeg(scene(*size).convert(mode), exif=exif)
    shown = size[::-1] if sideways else size
    # The rule, once more: the largest of 1, 2, 4 and 8 that leaves both sides long enough.
    by = max(by for by in (1, 2, 4, 8) if by == 1 or all(
        side // by >= wanted for side, wanted in zip(shown, least, strict=True)
    ))  # fmt: skip
    decoded = decode_image(file, least=least)
    assert decoded.shape == (-(-shown[0] // by), -(-shown[1] // by), 3)
    stored = least[::-1] if sideways else least
    np.testing.assert_array_equal(decoded, by_pillow(file, stored))
    assert read_image_size(file) == shown


def test_what_is_no_photo_is_never_scaled() -> None:
    for form in ("PNG", "WEBP", "TIFF"):
        file = io.BytesIO()
        scene(64, 80).save(file, form, **({"lossless": True} if form == "WEBP" else {}))
        np.testing.assert_array_equal(
            decode_image(file.getvalue(), least=(4, 4)), np.array(scene(64, 80))
        )


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["RGB", "L", "CMYK"]),
    st.tuples(st.integers(1, 70), st.integers(1, 70)),
    st.sampled_from(
        [{}, {"progressive": True}, {"comment": b"c" * 9000}, {"icc_profile": b"p" * 70}]
    ),
    st.sampled_from([None, "exif", "xmp", "both"]),
    st.lists(st.tuples(st.integers(0, 700), st.integers(1, 255)), max_size=2),
    st.floats(0.1, 1),
)
def test_sizes_are_pillows_whoever_reads_them(mode, size, options, turned, flips, share):
    """Damage is in the header, where a size could go wrong: it is Pillow's, or none."""
    options = dict(options)
    if turned in ("exif", "both"):
        exif = Image.Exif()
        exif[0x0112] = 6
        options["exif"] = exif
    if turned in ("xmp", "both"):
        options["xmp"] = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    file = bytearray(jpeg(scene(*size).convert(mode), **options))
    for place, flip in flips:
        file[place % len(file)] ^= flip
    content = bytes(file[: int(share * len(file))])
    expected = None
    with contextlib.suppress(Exception), Image.open(io.BytesIO(content)) as image:
        expected = (image.height, image.width)
        if image.getexif().get(0x0112) in (5, 6, 7, 8):
            expected = expected[::-1]
    if expected is None and not flips:
        with pytest.raises(ImageDecodeError):
            read_image_size(content)
    elif expected is not None:
        assert read_image_size(content) == expected
