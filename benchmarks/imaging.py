"""Imaging: the whole preprocessing beside two bare resizes, to the canvas and the global view.

Run `python benchmarks/imaging.py`. The bare resizes are the fastest antialiased uint8 ones that
were found, torch's on channels-last memory. Preprocessing adds what is cropped away, padding,
crops, masks and counts. Two more ratios stand beside its own: `shown`, to resizes of no more than
the part of canvas and view that shows the image, as padding is not resized; and `batch`, with the
crops, which are views of the canvas, copied to where a model takes them. All on one thread. What is
compared is timed in turn, in one order and in the other, so that whatever else the machine does
disturbs all alike; times are medians, a ratio is the median of each turn's ratio.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn.functional import interpolate

from tierexp.imaging.decode import decode_image
from tierexp.imaging.preprocess import preprocess, stack_views
from tierexp.imaging.resize import Placement, Resize, ResizeMode, Size, place
from tierexp.tiers.files import load_tier
from tierexp.tiers.geometry import CropGeometry
from tierexp.tiers.selection import select_crops

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
    print(f"{'image':11} {'tier':7} {'tiling':7} {'crops':9} {'decode':>9} {'bare':>8}", end="")
    print(f" {'preprocess':>11} {'ratio':>6} {'shown':>6} {'batch':>6}")
    for height, width in SIZES:
        size, file = (height, width), photograph(height, width)
        image = decode_image(file)
        decode = np.median(milliseconds([lambda file=file: decode_image(file)], TURNS_OF_DECODING))
        for tier in ("low", "medium", "high"):
            tiling = select_crops(load_tier(tier), height, width).tiling
            for mode in get_args(ResizeMode):
                resize = Resize(crops=mode)
                canvas_size = geometry.canvas_size(tiling)
                on_canvas = place(size, canvas_size, resize.crops)
                on_view = place(size, view_size, resize.global_view)
                whole = partial(preprocess, image, tiling, resize, geometry)
                times = milliseconds(
                    [
                        partial(bare_resizes, image, [canvas_size, view_size]),
                        partial(bare_resizes, image, [shown(on_canvas), shown(on_view)]),
                        whole,
                        lambda whole=whole: stack_views([whole()]),
                    ],
                    TURNS,
                )
                bare, shown_only, whole_time, batch = times.T
                pairs = (whole_time, bare), (whole_time, shown_only), (batch, bare)
                ratios.append([np.median(ours / theirs) for ours, theirs in pairs])
                print(
                    f"{width:4} x {height:4} {tier:7} {tiling!s:7} {mode:9} {decode:6.2f} ms"
                    f" {np.median(bare):5.2f} ms {np.median(whole_time):8.2f} ms"
                    + "".join(f" {ratio:6.2f}" for ratio in ratios[-1])
                )
    for name, column in zip(("ratio", "shown", "batch"), np.transpose(ratios), strict=True):
        met = (column <= GOAL).sum()
        spread = f"{column.min():.2f} to {column.max():.2f}"
        print(f"{name}: {met} of {len(column)} within {GOAL}; {spread}")


if __name__ == "__main__":
    main()
