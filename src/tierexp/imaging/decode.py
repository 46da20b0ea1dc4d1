"""Image files to RGB pixels.

In: a path, or the bytes of a file. Out: uint8 RGB as the picture is displayed, or its size from
the header alone; the two always agree. Whatever cannot be read is an `ImageDecodeError` with a
one-line reason. Knows nothing about crops.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from tierexp.errors import ImageDecodeError

MAX_PIXELS = 89_478_485
"""Larger pictures are refused (Pillow's own limit: 256 MiB of RGB)."""

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")
"""Of the files in a folder that are taken for images, in lower case."""

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
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


def decode_image(source: Path | bytes, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """The pixels of an image file: JPEG, PNG, WebP, GIF (the first frame) or BMP.

    The EXIF orientation is applied. Grey, palette and CMYK become RGB; 16-bit grey is scaled to 8
    bits. Transparency is composited on white, the page that transparent icons and diagrams are
    drawn for: dropping the alpha channel instead uncovers whatever colour lies hidden below it.

    Args:
        source: A path or a file's bytes.
        max_pixels: Refuse larger pictures before they are decoded.

    Returns:
        (height, width, 3) uint8, contiguous and writable.

    Raises:
        ImageDecodeError: Missing, not an image, truncated, corrupt or too large.
    """
    with _opened(source, max_pixels) as image:
        return _pixels(image)


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
        return _pixels(image)


def read_image_size(source: Path | bytes, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """The size of what `decode_image` returns, read from the file's header.

    Returns:
        (height, width) in pixels, EXIF orientation applied.

    Raises:
        ImageDecodeError: Missing, not an image, a corrupt header, or too large.
    """
    with _opened(source, max_pixels) as image:
        swapped = _orientation(image) in (5, 6, 7, 8)
        return (image.width, image.height) if swapped else (image.height, image.width)


@contextmanager
def _opened(source: Path | bytes, max_pixels: int) -> Iterator[Image.Image]:
    """An opened image, whose every failure inside the block is an `ImageDecodeError`."""
    name = "image" if isinstance(source, bytes) else str(source)
    with _refusing(name):
        stream = io.BytesIO(source) if isinstance(source, bytes) else source
        with Image.open(stream, formats=_FORMATS) as image:
            _check_size(name, image, max_pixels)
            yield image


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
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageDecodeError(f"{name}: {reason}") from error


def _check_size(name: str, image: Image.Image, max_pixels: int) -> None:
    pixels = image.width * image.height
    if pixels > max_pixels:
        raise ImageDecodeError(
            f"{name}: {image.width} x {image.height} pixels exceed the limit of {max_pixels} pixels"
        )


def _pixels(image: Image.Image) -> NDArray[np.uint8]:
    transpose = _TRANSPOSE.get(_orientation(image))
    image.load()
    rgb = _to_rgb(image)
    return np.array(rgb if transpose is None else rgb.transpose(transpose))


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8. Damaged EXIF is none, as in image viewers.

    The base class is asked because the PNG reader would decode all pixels in search of EXIF that
    follows them, and a size must come from the header.
    """
    try:
        value = Image.Image.getexif(image).get(_ORIENTATION, 1)
    except Exception:
        return 1
    return value if value in _TRANSPOSE else 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        # Pillow's conversion would clip at 255.
        grey = np.asarray(image).astype(np.uint32)
        scaled = ((grey * 255 + 32767) // 65535).astype(np.uint8)
        transparent = image.info.get("transparency")
        if transparent is not None:
            scaled[grey == transparent] = 255
        return Image.fromarray(scaled).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")
