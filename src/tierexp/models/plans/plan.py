"""The vocabulary of plans: what a family's processor makes of an image, as numbers.

In: the height and width of an image. Out: the grid it is cut into, the images that the encoder
sees, the tokens that the language model reads of them, and the marks around those. A grid is
`(rows, cols)` of crops, or of cells (merged patches) where a family takes images as they are.

Knows nothing about pixels, tiers or any one family.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tierexp.errors import TierexpError
from tierexp.tiers.aspects import checked_sides
from tierexp.tiers.geometry import GlobalView

Grid = tuple[int, int]
"""Rows and columns."""
Size = tuple[int, int]
"""Height and width, in pixels."""
Sides = NDArray[np.int64]
"""(N,) pixels."""
Unit = Literal["crop", "cell"]
"""What a grid counts: crops that the encoder sees one by one, or cells of one image."""

MAX_SIDE = 2**31 - 1
"""No image format holds a longer side; above it, products of sides would not be exact."""


class RefusedSizeError(TierexpError):
    """An image of a size that the family's own processor does not take."""


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """What one image becomes.

    Args:
        grid: Rows and columns of crops or cells; (1, 1) where the image is not divided.
        images: Images that the encoder sees: crops, and the global view where there is one.
        vision_tokens: Placeholders of the image that the language model reads.
        marks: What the processor adds around them: starts and ends, row and column names, line
            breaks, the start of the sequence where it writes one. Text counts a token a byte.
    """

    grid: Grid
    images: int
    vision_tokens: int
    marks: int


@dataclass(frozen=True)
class ImagePlans:
    """The plans of many images, column by column; zeros where an image is refused.

    Args:
        grids: (N, 2) int64, rows and columns.
        images: (N,) int64.
        vision_tokens: (N,) int64.
        marks: (N,) int64.
        refused: (N,) bool: sizes that the family's processor does not take.
    """

    grids: NDArray[np.int64]
    images: NDArray[np.int64]
    vision_tokens: NDArray[np.int64]
    marks: NDArray[np.int64]
    refused: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> ImagePlan:
        """One of them.

        Raises:
            RefusedSizeError: The image is refused.
        """
        if self.refused[index]:
            raise RefusedSizeError("the family's processor refuses images of this size")
        rows, cols = self.grids[index]
        return ImagePlan(
            (int(rows), int(cols)),
            int(self.images[index]),
            int(self.vision_tokens[index]),
            int(self.marks[index]),
        )


def refuse(plans: ImagePlans, refused: NDArray[np.bool_]) -> ImagePlans:
    """The same plans, zeros where `refused`."""
    keep = ~refused
    return ImagePlans(
        plans.grids * keep[:, None],
        plans.images * keep,
        plans.vision_tokens * keep,
        plans.marks * keep,
        refused | plans.refused,
    )


class FamilyGeometry(ABC):
    """A family's own rule under fixed settings. Subclasses are frozen dataclasses of the
    settings.
    """

    unit: ClassVar[Unit] = "crop"
    global_view: ClassVar[GlobalView] = "none"
    """Where the view of the whole image stands among the crops, where it has one."""
    chunk: ClassVar[int] = 8192
    """Images planned at once: their columns stay in the processor's cache."""

    @abstractmethod
    def plan_sides(self, heights: Sides, widths: Sides) -> ImagePlans:
        """The plans of images, sides checked.

        Args:
            heights: (N,) pixels, at least 1.
            widths: (N,) pixels, at least 1.
        """

    @abstractmethod
    def candidate_grids(self, max_tokens: int) -> Sequence[Grid]:
        """Grids that an image might get, those within `max_tokens` tokens among them.

        Args:
            max_tokens: Grids of more tokens are of no interest.
        """

    @abstractmethod
    def sizes_for(self, grids: Sequence[Grid]) -> list[Size]:
        """For each grid the size of an image that fills it, which the family's processor gives this
        grid if it gives it to any image that fills it.
        """

    def aspects(self, heights: Sides, widths: Sides) -> tuple[Sides, Sides]:
        """The aspect ratios that grids are compared with: (N,) numerators, (N,) denominators."""
        return widths, heights

    def budgets(self, plans: ImagePlans) -> NDArray[np.int64]:
        """(N,): what a tier counts of a plan: the tokens that the language model reads."""
        return plans.vision_tokens

    def variants(self, max_tokens: int) -> Sequence[Variant]:
        """Settings under which a tier may run the processor, the first that makes a grid being the
        one that is used: the family's own, unless size alone cannot change what it makes.

        Args:
            max_tokens: Most tokens of the tier.
        """
        del max_tokens
        return [Variant({}, self)]

    def plan_many(self, heights: ArrayLike, widths: ArrayLike) -> ImagePlans:
        """The plans of many images.

        Args:
            heights: Whole pixels; broadcast against `widths`.
            widths: Whole pixels.

        Raises:
            TypeError: Sides that are not whole numbers.
            ValueError: A side is below 1 pixel, or above `MAX_SIDE`.
        """
        height, width = image_sides(heights, widths)
        count = len(height)
        plans = ImagePlans(
            np.empty((count, 2), np.int64),
            np.empty(count, np.int64),
            np.empty(count, np.int64),
            np.empty(count, np.int64),
            np.empty(count, np.bool_),
        )
        for start in range(0, count, self.chunk):
            part = slice(start, start + self.chunk)
            some = self.plan_sides(height[part], width[part])
            plans.grids[part] = some.grids
            plans.images[part] = some.images
            plans.vision_tokens[part] = some.vision_tokens
            plans.marks[part] = some.marks
            plans.refused[part] = some.refused
        return plans

    def plan(self, height: int, width: int) -> ImagePlan:
        """The plan of one image.

        Args:
            height: In pixels.
            width: In pixels.

        Raises:
            TypeError: A side that is no whole number.
            ValueError: A side is below 1 pixel, or above `MAX_SIDE`.
            RefusedSizeError: The family's processor does not take an image of this size.
        """
        try:
            return self.plan_many([height], [width])[0]
        except RefusedSizeError:
            raise RefusedSizeError(
                f"an image of {width} x {height} pixels is refused by the family's processor"
            ) from None


def image_sides(heights: ArrayLike, widths: ArrayLike) -> tuple[Sides, Sides]:
    """(N,) heights and (N,) widths, broadcast against each other.

    Raises:
        TypeError: Sides that are not whole numbers.
        ValueError: A side is below 1 pixel, or above `MAX_SIDE`.
    """
    height, width = (side.reshape(-1) for side in checked_sides(heights, widths))
    if max(height.max(initial=0), width.max(initial=0)) > MAX_SIDE:
        raise ValueError(f"no image has sides above {MAX_SIDE} pixels")
    return height, width


@dataclass(frozen=True)
class Variant:
    """A family's rule under settings that differ from its preset's.

    Args:
        settings: What differs, as the family's processor calls it.
        geometry: The rule under them.
    """

    settings: Mapping[str, object]
    geometry: FamilyGeometry


@dataclass(frozen=True)
class Preset:
    """A family under settings that people run.

    Args:
        family: Its name.
        settings: The settings in words.
        geometry: Its rule under them.
        follows: Whose rule it is, with the version.
        arguments: Arguments of every call of the family's processor, as pairs: what no file of a
            checkpoint can set.
    """

    family: str
    settings: str
    geometry: FamilyGeometry
    follows: str = "transformers 5.24.0"
    arguments: tuple[tuple[str, object], ...] = ()
