"""The images of a sweep, found again by the configuration that its results keep.

In: a sweep. Out: the vivid regions of each image, and how long looking took. Every image is opened
once; what was found is kept in a file beside the results, so that a second look takes no time.
Imports no torch unless the data set does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from omegaconf import OmegaConf

from tierexp.config.build import build
from tierexp.data.loader_settings import LoaderSettings
from tierexp.data.sample import QuestionDataset
from tierexp.errors import DataError, TierexpError
from tierexp.imaging.resize import place
from tierexp.policies.detail import VERSION, Region, Regions, regions, thumbnail_side
from tierexp.policies.sweep import Sweep
from tierexp.results.files import read_results, write_results

FILE_NAME = "regions.json"
_WITHOUT = "policy.features=[words,sizes,points] does without the images"


@dataclass(frozen=True)
class LookedAt:
    """Regions of a sweep's images.

    Args:
        schema_version: The version of what is looked for.
        samples: Digest of the questions and images.
        ms_per_image: Milliseconds that looking took, the median; decoding and drawing excluded.
        images: By key and colour word: (top, left, bottom, right) of each region.
    """

    schema_version: int
    samples: str
    ms_per_image: float
    images: dict[str, dict[str, tuple[tuple[float, float, float, float], ...]]]

    def regions(self) -> dict[str, Regions]:
        """By image key."""
        return {
            key: {word: tuple(Region(*box) for box in boxes) for word, boxes in found.items()}
            for key, found in self.images.items()
        }


def dataset_of(config: Mapping[str, Any] | None) -> QuestionDataset:
    """The data set that results are about.

    Args:
        config: As a sweep keeps it.

    Raises:
        DataError: The results do not say, or the data set is not there any more.
    """
    if config is None:
        raise DataError(f"these results do not say where their images are; {_WITHOUT}")
    settings = OmegaConf.create({"data": dict(config["data"])})
    try:
        dataset: QuestionDataset = build(settings, "data", leave_out=LoaderSettings.names())
    except TierexpError as error:
        line = f"the images of these results are not to be had: {error}; {_WITHOUT}"
        raise DataError(line) from None
    return dataset


def look_at(sweep: Sweep) -> LookedAt:
    """The regions of a sweep's images, from the file beside its results where it is there.

    Raises:
        DataError: See `dataset_of`; or an image is not there any more.
        MachineError: The file cannot be written.
    """
    samples = _digest(sweep)
    file = None if sweep.folder is None else sweep.folder / FILE_NAME
    if file is not None and file.exists():
        kept = _kept(file)
        if kept is not None and kept.samples == samples:
            return kept
    found, milliseconds = _look(sweep)
    looked = LookedAt(
        VERSION,
        samples,
        milliseconds,
        {
            key: {
                word: tuple((r.top, r.left, r.bottom, r.right) for r in of_word)
                for word, of_word in of_image.items()
            }
            for key, of_image in found.items()
        },
    )
    if file is not None:
        write_results(looked, file)
    return looked


def _kept(file: Path) -> LookedAt | None:
    """None where it is of another version: then it is made anew."""
    try:
        return read_results(LookedAt, VERSION, file)
    except DataError:
        return None


def _look(sweep: Sweep) -> tuple[dict[str, Regions], float]:
    dataset = dataset_of(sweep.config)
    wanted = dict(zip(sweep.sample_ids, sweep.images, strict=True))
    found: dict[str, Regions] = {}
    times = []
    for index in range(len(dataset)):
        key = dataset.image_key(index)
        if key in found or wanted.get(dataset[index].sample_id) != key:
            continue
        image = dataset.image(index)
        size = image.shape[0], image.shape[1]
        start = perf_counter()
        found[key] = regions(scaled_down(image, thumbnail_side(*size)), size)
        times.append(1e3 * (perf_counter() - start))
    missing = set(sweep.images) - found.keys()
    if missing:
        raise DataError(f"the data set has no image {min(missing)} any more; {_WITHOUT}")
    # The first one loads packages.
    return found, float(np.median(times))


def scaled_down(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """An image whose longer side has at most `side` pixels.

    Args:
        pixels: (height, width, 3) RGB.
        side: In pixels.
    """
    from tierexp.imaging.resample import resample  # torch, for whoever opens images

    size = pixels.shape[0], pixels.shape[1]
    scale = min(1.0, side / max(size))
    small = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    thumbnail: NDArray[np.uint8] = np.asarray(resample(pixels, place(size, small, "stretch")))
    return thumbnail


def _digest(sweep: Sweep) -> str:
    named = {inputs.get("samples", "") for inputs in sweep.inputs.values()}
    images = sorted(set(sweep.images))
    return hashlib.sha256(repr((sorted(named), images)).encode()).hexdigest()[:16]
