"""Imaging: the whole preprocessing beside the two bare resizes that it cannot do without.

Run `python benchmarks/imaging.py`. The bare resizes are the fastest antialiased uint8 ones that
were found, torch's on channels-last memory, straight to the pixels of the canvas and of the global
view that show the image: no padding, nothing that is cropped away. Preprocessing adds what is
cropped away, the cutting of crops, padding, masks and counts. All on one thread. The two are timed
in turn, each first every other time, so that whatever else the machine does disturbs both alike;
times are medians, the ratio is the median of each turn's ratio.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn.functional import interpolate

from tierexp.geometry import CropGeometry
from tierexp.imaging.decode import decode_image
from tierexp.imaging.preprocess import preprocess
from tierexp.imaging.resize import Placement, Resize, ResizeMode, Size, place
from tierexp.loading import load_tier
from tierexp.tiling import select_crops

SIZES: Sequence[Size] = ((480, 640), (640, 480), (960, 1280), (1600, 600), (3024, 4032))
TURNS, TURNS_OF_DECODING = 100, 10
GOAL = 1.3


def photograph(height: int, width: int) -> bytes:
    """A JPEG with the detail of a photograph: noise at every scale."""
    rng = np.random.default_rng(0)
    picture = np.full((height, width, 3), 128, np.float32)
    for scale in (1, 4, 16, 64):
        noise = 80 * rng.random((height // scale + 1, width // scale + 1, 3), np.float32) - 40
        picture += noise.repeat(scale, axis=0).repeat(scale, axis=1)[:height, :width]
    file = io.BytesIO()
    Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


def bare_resizes(image: NDArray[np.uint8], sizes: Sequence[Size]) -> list[torch.Tensor]:
    """The resizes alone, in the fastest memory layout."""
    batch = torch.from_numpy(image)[None].permute(0, 3, 1, 2)
    return [
        interpolate(batch, size, mode="bilinear", align_corners=False, antialias=True)
        for size in sizes
    ]


def shown(placement: Placement) -> Size:
    """(height, width) of the part of the canvas that shows the image."""
    top, left, bottom, right = placement.visible
    return bottom - top, right - left


def milliseconds(functions: Sequence[Callable[[], object]], turns: int) -> NDArray[np.float64]:
    """(turns, functions)."""
    times = np.empty((turns, len(functions)))
    order = list(enumerate(functions))
    for turn in range(-2, turns):  # the first two warm up
        for column, function in order[:: 1 if turn % 2 else -1]:
            start = time.perf_counter()
            function()
            times[turn, column] = time.perf_counter() - start
    return times * 1e3


def main() -> None:
    """Print one line for every size, tier and mode, and how many rows meet the goal."""
    torch.set_num_threads(1)
    geometry = CropGeometry()
    view_size = geometry.crop_size, geometry.crop_size
    ratios = []
    print(f"{'image':11} {'tier':7} {'tiling':7} {'crops':9} {'kept':>5} {'padding':>7}", end="")
    print(f" {'decode':>10} {'bare resizes':>13} {'preprocess':>11} {'ratio':>6}")
    for height, width in SIZES:
        size, file = (height, width), photograph(height, width)
        image = decode_image(file)
        decode = np.median(milliseconds([lambda file=file: decode_image(file)], TURNS_OF_DECODING))
        for tier in ("low", "medium", "high"):
            tiling = select_crops(load_tier(tier), height, width).tiling
            for mode in get_args(ResizeMode):
                resize = Resize(crops=mode)
                on_canvas = place(size, geometry.canvas_size(tiling), resize.crops)
                on_view = place(size, view_size, resize.global_view)
                sizes = [shown(on_canvas), shown(on_view)]

                def bare(image: NDArray[np.uint8] = image, sizes: Sequence[Size] = sizes) -> None:
                    bare_resizes(image, sizes)

                def whole(
                    image: NDArray[np.uint8] = image, tiling=tiling, resize: Resize = resize
                ) -> None:
                    preprocess(image, tiling, resize, geometry)

                times = milliseconds([bare, whole], TURNS)
                ratios.append(np.median(times[:, 1] / times[:, 0]))
                print(
                    f"{width:4} x {height:4} {tier:7} {tiling!s:7} {mode:9}"
                    f" {on_canvas.content_kept:5.2f} {on_canvas.padding_fraction:7.2f}"
                    f" {decode:7.2f} ms {np.median(times[:, 0]):10.2f} ms"
                    f" {np.median(times[:, 1]):8.2f} ms {ratios[-1]:6.2f}"
                )
    met = sum(ratio <= GOAL for ratio in ratios)
    print(f"{met} of {len(ratios)} within {GOAL} times; {min(ratios):.2f} to {max(ratios):.2f}")


if __name__ == "__main__":
    main()
