"""Image files to RGB pixels.

In: a path, or the bytes of a file. Out: uint8 RGB as the picture is displayed, or its size from
the header alone; the two always agree. Whatever cannot be read is an `ImageDecodeError` with a
one-line reason. Knows nothing about crops.

Pillow reads every header but those of plain JPEGs, and says what a file is. The pixels of grey and
colour JPEGs come from `simplejpeg`, a thin binding of the same libjpeg-turbo, which gives the same
ones in half the time (`benchmarks/decode.py`); what it complains about is left to Pillow to judge.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Literal, cast

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError, features
from PIL.ImageFile import ImageFile

from tierexp.errors import ImageDecodeError
from tierexp.imaging.colours import rgb_of
from tierexp.imaging.jpeg_header import plain_jpeg_size

DecodeMode = Literal["exact", "scaled"]
"""Whether a photo is decoded whole, or at a half, a quarter or an eighth of its size where that is
still no smaller than what it will be resized to."""

MAX_PIXELS = 89_478_485
"""Larger pictures are refused (Pillow's own limit: 256 MiB of RGB)."""

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
_JPEG = ("JPEG", "MPO")
_EIGHTHS = 8
_HEADER = 8192
_ORIENTATION = 0x0112
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode_image(
    source: Path | str | bytes, max_pixels: int = MAX_PIXELS, least: tuple[int, int] | None = None
) -> NDArray[np.uint8]:
    """The pixels of an image file: JPEG, PNG, WebP, GIF (the first frame), BMP, TIFF (the first
    page) or AVIF; HEIC where the package pillow-heif is installed.

    The EXIF orientation is applied. Grey, palette and CMYK become RGB; what has more than 8 bits is
    scaled (`tierexp.imaging.colours`). Transparency is composited on white, the page that
    transparent icons and diagrams are drawn for: dropping the alpha channel instead uncovers
    whatever colour lies hidden below it.

    Args:
        source: A path or a file's bytes.
        max_pixels: Refuse larger pictures before they are decoded.
        least: (height, width), as displayed: a JPEG may be decoded at a half, a quarter or an
            eighth of its size, rounded up, the smallest that is at least this. None decodes it
            whole.

    Returns:
        (height, width, 3) uint8, contiguous and writable.

    Raises:
        ImageDecodeError: Missing, not an image, truncated, corrupt or too large.
    """
    plain = None if least is not None else _plain_jpeg(source, max_pixels)
    if plain is not None:
        return plain
    with _opened(source, max_pixels) as image:
        return _displayed(image, least)


def pixels_of(image: Image.Image, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """The pixels of a picture that somebody else has opened, of any of Pillow's modes.

    Args:
        image: The picture.
        max_pixels: Refuse larger ones.

    Returns:
        As `decode_image`.

    Raises:
        ImageDecodeError: Truncated, corrupt or too large.
    """
    with _refusing("image"):
        _check_size("image", image, max_pixels)
        return _displayed(image, None)


def read_image_size(source: Path | str | bytes, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """The size of what `decode_image` returns, read from the file's header.

    Returns:
        (height, width) in pixels, EXIF orientation applied.

    Raises:
        ImageDecodeError: Missing, not an image, a corrupt header, or too large.
    """
    try:
        plain = plain_jpeg_size(_head(source, _HEADER))
    except (OSError, ValueError):
        plain = None  # for the same reason as below, where it is said
    if plain is not None and plain[0] * plain[1] <= max_pixels:
        return plain
    with _opened(source, max_pixels) as image:
        swapped = _turned_sideways(image)
        return (image.width, image.height) if swapped else (image.height, image.width)


def holds_image(file: Path) -> bool:
    """Whether a file begins as an image of a known format does, whatever its name.

    Without a suffix every format is known; under any other name TIFF is not, which is how the raw
    files of cameras begin as well.

    Raises:
        OSError: It cannot be read.
    """
    with file.open("rb") as stream:
        head = stream.read(16)
    return (
        head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a"))
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or (head[4:8] == b"ftyp" and head[8:12] in (*_HEIF_BRANDS, b"avif", b"avis"))
        or (not file.suffix and head.startswith((b"II*\0", b"MM\0*", b"BM")))
    )


@contextmanager
def _opened(source: Path | str | bytes, max_pixels: int) -> Iterator[Image.Image]:
    """An opened image, whose every failure inside the block is an `ImageDecodeError`."""
    name = "image" if isinstance(source, bytes) else str(source)
    with _refusing(name), _open(source, name) as image:
        _check_size(name, image, max_pixels)
        yield image


def _open(source: Path | str | bytes, name: str) -> Image.Image:
    def stream() -> Path | str | io.BytesIO:
        return io.BytesIO(source) if isinstance(source, bytes) else source

    try:
        return Image.open(stream(), formats=_FORMATS)
    except UnidentifiedImageError:
        head = _head(source, 12)
        if head[4:12] in (b"ftypavif", b"ftypavis") and not features.check("avif"):
            raise ImageDecodeError(f"{name}: AVIF, and this Pillow was built without it") from None
        if head[4:8] != b"ftyp" or head[8:12] not in _HEIF_BRANDS:
            raise
        if not _heif_is_read():
            raise ImageDecodeError(
                f"{name}: HEIC is read by the package pillow-heif; pip install 'tierexp[heic]'"
            ) from None
    return Image.open(stream(), formats=("HEIF",))


def _head(source: Path | str | bytes, length: int) -> bytes:
    return source[:length] if isinstance(source, bytes) else _read(source, length)


def _read(path: Path | str, length: int = -1) -> bytes:
    """The first bytes of a file, or all of them."""
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123  # twice as fast for a small file
        return file.read(length)


@cache
def _heif_is_read() -> bool:
    """Whether Pillow has been taught HEIC. Asked for by the first such file: few need the package,
    whose codecs have licences of their own.
    """
    try:
        from pillow_heif import register_heif_opener
    except ModuleNotFoundError:
        return False
    register_heif_opener()
    return True


@contextmanager
def _refusing(name: str) -> Iterator[None]:
    """Turn every failure inside the block into an `ImageDecodeError`."""
    try:
        with warnings.catch_warnings():
            # Pillow warns of what is repaired or refused here.
            warnings.simplefilter("ignore")
            yield
    except ImageDecodeError:
        raise
    except FileNotFoundError:
        raise ImageDecodeError(f"{name}: no such file") from None
    except UnidentifiedImageError:
        formats = ", ".join(_FORMATS)
        raise ImageDecodeError(f"{name}: not an image of a known format ({formats})") from None
    except Exception as error:
        # Pillow's decoders answer damaged bytes with nearly any exception type: OSError,
        # SyntaxError, ValueError, struct.error, zlib.error, IndexError ...
        strerror = error.strerror if isinstance(error, OSError) else None
        reason = " ".join((strerror or str(error)).split()) or type(error).__name__
        raise ImageDecodeError(f"{name}: {reason}") from error


def _check_size(name: str, image: Image.Image, max_pixels: int) -> None:
    pixels = image.width * image.height
    if pixels > max_pixels:
        raise ImageDecodeError(
            f"{name}: {image.width} x {image.height} pixels exceed the limit of {max_pixels} pixels"
        )


def _displayed(image: Image.Image, least: tuple[int, int] | None) -> NDArray[np.uint8]:
    whole = image.size
    if least is not None and image.format in _JPEG:
        height, width = least[::-1] if _turned_sideways(image) else least
        image.draft(None, (width, height))  # its size is what it will be decoded at from now on
    transpose = _TRANSPOSE.get(_orientation(image))
    pixels = _by_simplejpeg(image, reduced=image.size != whole)
    if pixels is None:
        pixels = rgb_of(image)
    if transpose is None:
        return pixels
    return np.array(Image.fromarray(pixels).transpose(transpose))


def _plain_jpeg(source: Path | str | bytes, max_pixels: int) -> NDArray[np.uint8] | None:
    """The pixels of a JPEG that needs no opening as a picture; None of whatever else there is."""
    try:
        content = source if isinstance(source, bytes) else _read(source)
        size = plain_jpeg_size(content[:_HEADER])
        if size is None or size[0] * size[1] > max_pixels or not _same_library():
            return None
        pixels = simplejpeg.decode_jpeg(content, "RGB")
    except (OSError, ValueError):
        return None  # said by whoever opens it
    return cast("NDArray[np.uint8]", pixels) if pixels.shape[:2] == size else None


def _by_simplejpeg(image: Image.Image, reduced: bool) -> NDArray[np.uint8] | None:
    """(height, width, 3), or None where only Pillow knows what its pixels are.

    CMYK is converted in another way. What is damaged or merely odd is refused in strict mode, and
    Pillow decides whether it is shown.
    """
    if (
        image.format not in _JPEG
        or image.mode not in ("L", "RGB")
        or not isinstance(image, ImageFile)
        or not image.tile  # loaded already, and perhaps painted on
        or image.fp is None
        or image.tell()
        or not _same_library()
    ):
        return None
    # It knows more fractions than halves, which in fewer pixels than these are the same size.
    if reduced and max(image.size) < _EIGHTHS:
        return None
    place = image.fp.tell()
    image.fp.seek(0)
    content = image.fp.read()
    image.fp.seek(place)
    least = {"min_height": image.height, "min_width": image.width} if reduced else {}
    try:
        pixels = simplejpeg.decode_jpeg(content, "RGB", **least)
    except ValueError:
        return None
    same = pixels.shape[:2] == (image.height, image.width)
    return cast("NDArray[np.uint8]", pixels) if same else None


@cache
def _same_library() -> bool:
    """Whether this Pillow, too, decodes by libjpeg-turbo; other libraries round otherwise."""
    return bool(features.check("libjpeg_turbo")) and not features.check("mozjpeg")


def _turned_sideways(image: Image.Image) -> bool:
    return _orientation(image) in (5, 6, 7, 8)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation that is still to be applied, 1 to 8. Damaged EXIF is none, as in image
    viewers.

    The base class is asked because the PNG reader would decode all pixels in search of EXIF that
    follows them, and a size must come from the header. Of TIFF, Pillow gives the size as displayed
    and turns the pixels itself.
    """
    if image.format == "TIFF":
        return 1
    try:
        value = Image.Image.getexif(image).get(_ORIENTATION, 1)
    except Exception:
        return 1
    return value if value in _TRANSPOSE else 1
