"""Small pictures of some images with their tilings, which a run keeps in its folder.

In: pictures that were drawn while the data set was at hand. Out: JPEG files, and data URLs of those
for the report, which so needs neither data set nor model. A file is named by what it shows, never
by a name from data.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tierexp.errors.machine import writing
from tierexp.results.columns import column, numbers
from tierexp.results.schema import SampleResult
from tierexp.tiers.geometry import Tiling

FOLDER = "thumbnails"
MOST = 24
"""Images of a run that are kept, those that fit best, worst and in the middle not counted."""
_QUALITY = 82
_MOST_BYTES = 2**20
_JPEG = b"\xff\xd8\xff"


def thumbnail_name(image_key: str, tiling: Tiling, mode: str) -> str:
    """The file of an image's picture.

    Args:
        image_key: Key of the image.
        tiling: As it was cut into crops.
        mode: How it was brought to the canvas.
    """
    return hashlib.sha256(repr((image_key, tuple(tiling), mode)).encode()).hexdigest()[:24] + ".jpg"


def worth_keeping(samples: Sequence[SampleResult], first: int) -> list[int]:
    """Places of the samples whose pictures a run keeps.

    The first ones are what a logger shows; best, median and worst fit are what a report shows of
    every run; the others are chosen by their image's name alone, so that all runs of a sweep keep
    pictures of the same images.

    Args:
        samples: In the data set's order.
        first: So many are kept from the start.
    """
    by_image: dict[str, int] = {}
    for place, sample in enumerate(samples):
        by_image.setdefault(sample.image_key, place)
    chosen = sorted(by_image, key=lambda key: hashlib.sha256(key.encode()).digest())[:MOST]
    fitting = fitting_samples(samples).values()
    keys = dict.fromkeys([*chosen, *(sample.image_key for sample in fitting)])
    return [*range(min(first, len(samples))), *(by_image[key] for key in keys)]


def fitting_samples(samples: Sequence[SampleResult]) -> dict[str, SampleResult]:
    """Those whose images fit their tilings best, worst, and in the middle; none without samples."""
    first: dict[str, int] = {}
    for place, key in enumerate(column(samples, "image_key")):
        first.setdefault(key, place)
    if not first:
        return {}
    mismatch = numbers(samples, "aspect_ratio_mismatch")
    ordered = sorted(first.values(), key=lambda place: mismatch[place])
    places = {"best": ordered[0], "median": ordered[len(ordered) // 2], "worst": ordered[-1]}
    return {name: samples[place] for name, place in places.items()}


def keep_thumbnails(
    drawn: Iterable[tuple[SampleResult, NDArray[np.uint8]]], mode: str, folder: Path
) -> None:
    """Write pictures into `thumbnails/` of a run's folder; one that is there is not written again.

    Args:
        drawn: Samples and their pictures, (h, w, 3).
        mode: How the images were brought to their canvases.
        folder: Folder of the run.

    Raises:
        MachineError: A file cannot be written.
    """
    for sample, pixels in drawn:
        path = folder / FOLDER / thumbnail_name(sample.image_key, sample.selected_tiling, mode)
        if not path.exists():
            with writing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path, "JPEG", quality=_QUALITY)


def thumbnail_url(image_key: str, tiling: Tiling, mode: str, folder: Path) -> str | None:
    """An image's picture as a data URL; None where the run has kept none.

    Args:
        image_key: Of the image.
        tiling: As it was cut into crops.
        mode: How the run's images were brought to their canvases.
        folder: Of the run.
    """
    path = folder / FOLDER / thumbnail_name(image_key, tiling, mode)
    try:
        if path.stat().st_size > _MOST_BYTES:
            return None
        content = path.read_bytes()
    except OSError:
        return None
    if not content.startswith(_JPEG):
        return None
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"
