"""What turns the size of an image into a tiling: a tier, a fixed count, Molmo's own rule, or yours.

An object with these members can stand in `conf/tier`, in a configuration folder of one's own too;
nothing asks what class it is of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tierexp.tiers.geometry import CropGeometry, Tiling
from tierexp.tiers.threshold import Threshold

if TYPE_CHECKING:
    from tierexp.tiers.tier import Tier


class CropRule(Protocol):
    """A rule for tilings. Equal rules are equal objects, and hashable."""

    @property
    def name(self) -> str:
        """How results and charts call it."""

    @property
    def min_crops(self) -> int:
        """Fewest crops a selection may have."""

    @property
    def max_crops(self) -> int:
        """Most crops a selection may have."""

    def expected_tokens(self, geometry: CropGeometry) -> int:
        """A token budget to expect, by which lists of rules are ordered."""

    def tiling(
        self, height: int, width: int, geometry: CropGeometry, threshold: Threshold
    ) -> Tiling:
        """The tiling of one image.

        Args:
            height: Height of the image, in pixels, at least 1.
            width: Width of the image, in pixels, at least 1.
            geometry: Geometry of the crops.
            threshold: What a selection minimises, and when preferred counts suffice.
        """

    def tilings(
        self,
        heights: NDArray[np.int64],
        widths: NDArray[np.int64],
        geometry: CropGeometry,
        threshold: Threshold,
    ) -> NDArray[np.int64]:
        """The tilings of many images, (N, 2) int64, rows and columns: `tiling` for each of them.

        Args:
            heights: (N,) pixels, at least 1.
            widths: (N,) pixels, at least 1.
            geometry: Geometry of the crops.
            threshold: What a selection minimises, and when preferred counts suffice.
        """


@runtime_checkable
class FamilyRule(Protocol):
    """A `CropRule` that families with grids of their own can follow as well."""

    @property
    def as_tier(self) -> Tier | None:
        """What holds their grids to a range of tokens; None where the family's own rule decides."""
