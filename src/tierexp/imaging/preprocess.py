"""An image and its tiling to everything a model needs of it.

In: RGB pixels, the selected tiling, how to resize. Out: crops, patch masks, and the metrics that
results record; many images' crops become a batch. Choosing the tiling and laying out tokens is not
its business.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tierexp.imaging.crops import count_actual_tokens, cut_crops, patch_masks
from tierexp.imaging.resample import resample
from tierexp.imaging.resize import Pixels, Placement, Resize, Size, place
from tierexp.tiers.geometry import CropGeometry, Tiling

Room = Callable[[tuple[int, ...], np.dtype[Any]], Any]
"""Makes an array of a shape and a dtype, whatever is in it."""


@dataclass(frozen=True)
class PreprocessedImage:
    """The crops of an image and its global view, V views in the geometry's order, S pixels a side,
    P patches each.

    Args:
        views: V of (S, S, 3) uint8, or float32 in [0, 1] where exact. All but the global view are
            parts of one canvas, on which they overlap; `stack_views` copies their pixels.
            Read-only, as many questions can share an image.
        patch_mask: (V, P) float32: share of each patch's pixels that show the image, -1 in the row
            of a view without a mask.
        tiling: (rows, cols) of crops.
        placement: Where the image lies on the canvas that the crops were cut from.
        view_placement: Where it lies on the global view.
        actual_vision_tokens: Tokens, the global view's included, that see a pixel of the image.
        actual_crop_tokens: The same of the crops alone.
    """

    views: tuple[Pixels, ...]
    patch_mask: NDArray[np.float32]
    tiling: Tiling
    placement: Placement
    view_placement: Placement
    actual_vision_tokens: int
    actual_crop_tokens: int

    @property
    def content_kept(self) -> float:
        """Fraction of the image's area that is on the canvas."""
        return self.placement.content_kept

    @property
    def padding_fraction(self) -> float:
        """Fraction of the canvas's area that is padding."""
        return self.placement.padding_fraction


def preprocess(
    image: NDArray[np.uint8],
    tiling: Tiling,
    resize: Resize,
    geometry: CropGeometry,
    image_size: Size | None = None,
) -> PreprocessedImage:
    """Resize an image to the canvas of its tiling and to the global view, and cut the crops.

    Args:
        image: (height, width, 3) uint8 RGB.
        tiling: (rows, cols) of crops.
        resize: The modes, and whether to compute exactly.
        geometry: The crops the model was trained on.
        image_size: (height, width) of the picture where it was decoded smaller: it is placed as if
            it had not been. None takes that of `image`.
    """
    decoded = image.shape[0], image.shape[1]
    placement, view_placement = _placements(image_size or decoded, tiling, resize, geometry)
    how = resize.exact, resize.antialias
    view, canvas = (
        resample(image, _of_size(placed, decoded), *how) for placed in (view_placement, placement)
    )
    view.flags.writeable = canvas.flags.writeable = False
    crop_tokens = count_actual_tokens(placement, tiling, geometry)
    view_tokens = geometry.global_views * count_actual_tokens(view_placement, (1, 1), geometry)
    return PreprocessedImage(
        views=tuple(geometry.in_order(view, cut_crops(canvas, tiling, geometry))),
        patch_mask=patch_masks(placement, view_placement, tiling, geometry),
        tiling=tiling,
        placement=placement,
        view_placement=view_placement,
        actual_vision_tokens=crop_tokens + view_tokens,
        actual_crop_tokens=crop_tokens,
    )


def _of_size(placement: Placement, size: Size) -> Placement:
    """Where an image that was decoded at another size lands: on the same pixels."""
    return placement if placement.image_size == size else replace(placement, image_size=size)


def needed_size(image_size: Size, tiling: Tiling, resize: Resize, geometry: CropGeometry) -> Size:
    """The (height, width) that `preprocess` resizes a picture to, the larger of its two: of a
    picture decoded smaller than this, pixels would have to be made up.
    """
    canvas, view = (placed.scaled_size for placed in _placements(
        image_size, tiling, resize, geometry
    ))  # fmt: skip
    return max(canvas[0], view[0]), max(canvas[1], view[1])


def _placements(
    image_size: Size, tiling: Tiling, resize: Resize, geometry: CropGeometry
) -> tuple[Placement, Placement]:
    """Where an image lies on its canvas, and on the global view."""
    side = geometry.crop_size
    return (
        place(image_size, geometry.canvas_size(tiling), resize.crops),
        place(image_size, (side, side), resize.global_view),
    )


def stack_views(images: Sequence[PreprocessedImage], out: Room = np.empty) -> Pixels:
    """What a model takes of some images: its views.

    Args:
        images: B of them, at least one, all of V views and one dtype.
        out: Makes an array of a shape and a dtype.

    Returns:
        (B, V, S, S, 3), which `out` has made.

    Raises:
        ValueError: Images of different crop counts.
    """
    counts = {image.tiling[0] * image.tiling[1] for image in images}
    if len(counts) != 1:
        raise ValueError(f"a batch holds one crop count, not {sorted(counts)}")
    first = images[0].views
    batch: Pixels = out((len(images), len(first), *first[0].shape), first[0].dtype)
    for row, image in zip(batch, images, strict=True):
        np.stack(image.views, out=row)
    return batch
