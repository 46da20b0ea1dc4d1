"""Imaging: the whole preprocessing beside the two bare resizes that it cannot do without.

Run `python benchmarks/imaging.py`. The bare resizes are the fastest antialiased uint8 ones that
were found, torch's on channels-last memory, straight to the canvas and to the global view;
preprocessing adds what is cropped away, the cutting of crops, masks and counts. All on one
thread. The three are timed in turn, so that whatever else the machine does disturbs all alike;
the figures are medians, the ratio the median of each turn's ratio.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn.functional import interpolate

from tierexp.geometry import CropGeometry
from tierexp.imaging.decode import decode_image
from tierexp.imaging.preprocess import preprocess
from tierexp.imaging.resize import Resize, place
from tierexp.loading import load_tier
from tierexp.tiling import select_crops

SIZES = ((480, 640), (640, 480), (960, 1280), (1600, 600))  # (height, width)
TURNS = 200


def photograph(height: int, width: int) -> bytes:
    """A JPEG with the detail of a photograph: noise at every scale."""
    rng = np.random.default_rng(0)
    picture = np.zeros((height, width, 3))
    for scale in (1, 4, 16, 64):
        noise = rng.uniform(-40, 40, (height // scale + 1, width // scale + 1, 3))
        picture += noise.repeat(scale, axis=0).repeat(scale, axis=1)[:height, :width]
    file = io.BytesIO()
    Image.fromarray((128 + picture).clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


def bare_resizes(image: NDArray[np.uint8], sizes: list[tuple[int, int]]) -> None:
    """The resizes alone, in the fastest memory layout."""
    batch = torch.from_numpy(image)[None].permute(0, 3, 1, 2)
    for size in sizes:
        interpolate(batch, size, mode="bilinear", align_corners=False, antialias=True)


def milliseconds(functions: list[Callable[[], object]]) -> NDArray[np.float64]:
    """(TURNS, functions)."""
    times = np.empty((TURNS, len(functions)))
    for turn in range(-3, TURNS):  # the first three warm up
        for column, function in enumerate(functions):
            start = time.perf_counter()
            function()
            times[turn, column] = time.perf_counter() - start
    return times * 1e3


def main() -> None:
    """Print one line for every size and tier."""
    torch.set_num_threads(1)
    geometry, resize = CropGeometry(), Resize()
    print(f"{'image':11} {'tier':7} {'tiling':7} {'kept':>5}", end="")
    print(f" {'decode':>9} {'bare resizes':>13} {'preprocess':>11} {'ratio':>6}")
    for height, width in SIZES:
        file = photograph(height, width)
        image = decode_image(file)
        for tier in ("low", "medium", "high"):
            tiling = select_crops(load_tier(tier), height, width).tiling
            canvas = geometry.canvas_size(tiling)
            view_size = geometry.crop_size, geometry.crop_size
            view = place((height, width), view_size, resize.global_view).scaled_size
            times = milliseconds(
                [
                    lambda file=file: decode_image(file),
                    lambda image=image, sizes=[canvas, view]: bare_resizes(image, sizes),
                    lambda image=image, tiling=tiling: preprocess(image, tiling, resize, geometry),
                ]
            )
            decode, bare, whole = np.median(times, axis=0)
            ratio = np.median(times[:, 2] / times[:, 1])
            kept = place((height, width), canvas, resize.crops).content_kept
            print(
                f"{width:4} x {height:4} {tier:7} {tiling!s:7} {kept:5.2f}"
                f" {decode:6.2f} ms {bare:10.2f} ms {whole:8.2f} ms {ratio:6.2f}"
            )


if __name__ == "__main__":
    main()
