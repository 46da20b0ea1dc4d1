"""A loaded picture of any of Pillow's modes to 8-bit RGB.

In: a picture. Out: its colours, on white where it is transparent. Pillow's own conversion clips
what has more than 8 bits; here it is scaled. Knows nothing about files or orientations.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageFile import ImageFile

RANGES: dict[str, tuple[float, ...]] = {"I": (255.0, 65_535.0), "F": (1.0, 255.0, 65_535.0)}
"""What white can be in pictures whose mode does not say it: 8 or 16 bits, or shares of 1. Of these
the least that holds every value is taken."""

_LEVELS = {"L;2": 3, "L;4": 15}
"""White in the files of fewer bits that Pillow spreads to eight."""


def rgb_of(image: Image.Image) -> NDArray[np.uint8]:
    """The colours of a picture.

    16-bit grey is scaled to 8 bits. Modes `I` and `F` do not say what white is: it is the least of
    `RANGES` that holds every value. Where none does, or a value is negative, the picture is
    stretched from its smallest value, black, to its largest, white, as viewers of measurements
    (depth, height) do. Transparency is composited on white.

    Args:
        image: Image of any mode; its pixels are loaded here.

    Returns:
        (height, width, 3) uint8, contiguous and writable.

    Raises:
        ValueError: A value is not finite.
        Exception: Whatever Pillow's decoder raises of damaged pixels.
    """
    low_bytes = _low_bytes_of_transparent(image)
    levels = _LEVELS.get(_layout(image), 255)
    image.load()
    if low_bytes is not None:
        return _on_white_by_16_bits(image, low_bytes)
    if image.mode == "RGB" and "transparency" not in image.info:
        return np.array(image)
    if image.mode == "L" and "transparency" in image.info:
        grey = np.array(image)
        # The colour is written in the file's own levels, which Pillow leaves as they are.
        grey[grey == image.info["transparency"] * 255 // levels] = 255
        return _three_channels(grey)
    if image.mode.startswith("I;16"):
        return _of_16_bit_grey(image)
    if image.mode in RANGES:
        return _three_channels(_of_undeclared_range(np.asarray(image), RANGES[image.mode]))
    if image.mode in ("La", "RGBa"):  # colours multiplied by their alpha, known to few conversions
        image = image.convert("LA" if image.mode == "La" else "RGBA")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return np.array(Image.alpha_composite(white, rgba).convert("RGB"))
    return np.array(image.convert("RGB"))


def _of_16_bit_grey(image: Image.Image) -> NDArray[np.uint8]:
    grey = np.asarray(image).astype(np.uint32)
    scaled = ((grey * 255 + 32767) // 65535).astype(np.uint8)
    transparent = image.info.get("transparency")
    if transparent is not None:
        scaled[grey == transparent] = 255
    return _three_channels(scaled)


def _of_undeclared_range(
    values: NDArray[np.generic], whites: tuple[float, ...]
) -> NDArray[np.uint8]:
    grey = values.astype(np.float64)
    if not grey.size:
        return grey.astype(np.uint8)
    strange = np.count_nonzero(~np.isfinite(grey))
    if strange:
        raise ValueError(f"{strange} of {grey.size} pixel values are not finite")
    black, largest = 0.0, float(grey.max())
    white = next((white for white in whites if largest <= white), None)
    if white is None or grey.min() < 0:
        black, white = float(grey.min()), largest
    # A picture of one negative value has no contrast to stretch: it is black.
    return np.rint((grey - black) * 255 / ((white - black) or 1.0)).astype(np.uint8)


def _three_channels(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(grey[..., None], 3, axis=2)


def _layout(image: Image.Image) -> str:
    """How the samples lie in the file that an image is yet to be loaded from, in Pillow's words;
    nothing where it is loaded.
    """
    tile = image.tile if isinstance(image, ImageFile) else []
    return str(tile[0].args) if tile else ""


def _low_bytes_of_transparent(image: Image.Image) -> NDArray[np.uint8] | None:
    """(height, width, 3): the lower halves of 16-bit colours, of a PNG file with a transparent one;
    None of anything else, and of what has been loaded before.

    Pillow keeps the upper halves alone, and a colour is transparent only where both are equal. Read
    as if its bytes were swapped, the same file gives the others.
    """
    if _layout(image) != "RGB;16B" or "transparency" not in image.info:
        return None
    assert isinstance(image, ImageFile)
    stream = image.fp
    assert stream is not None
    place = stream.tell()
    stream.seek(0)
    with Image.open(io.BytesIO(stream.read()), formats=("PNG",)) as swapped:
        stream.seek(place)
        swapped.tile = [image.tile[0]._replace(args="RGB;16L")]
        return np.array(swapped)


def _on_white_by_16_bits(image: Image.Image, low_bytes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    high, low = np.divmod(image.info["transparency"], 256)
    rgb = np.array(image)
    rgb[(rgb == high).all(2) & (low_bytes == low).all(2)] = 255
    return rgb
