"""How the images of a run become crops: everything that is settled before an image is seen.

One frozen value instead of four arguments: results of two runs differ in what happens to images
exactly where these differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from omegaconf import DictConfig

from tierexp.config.build import build
from tierexp.imaging.columns import columns_of
from tierexp.imaging.measurements import ManyImages
from tierexp.imaging.resize import Resize, Size
from tierexp.tiers.geometry import CropGeometry
from tierexp.tiers.rule import CropRule
from tierexp.tiers.selection import Selection, SelectionArrays, select_crops, select_crops_many
from tierexp.tiers.threshold import Threshold


@dataclass(frozen=True)
class Measured:
    """What becomes of many images.

    Args:
        images: Columns of those that are not refused, in their order.
        refused: By place among all images, why the family's processor takes no image of this size.
    """

    images: ManyImages
    refused: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Preprocessing:
    """Which tiling an image gets, and how the image meets it.

    Args:
        tier: The rule for tilings.
        threshold: When a tier's preferred counts suffice.
        resize: How an image meets its canvas and the global view.
        geometry: Geometry of the model's crops.
    """

    tier: CropRule
    threshold: Threshold = Threshold()
    resize: Resize = Resize()
    geometry: CropGeometry = CropGeometry()

    @property
    def fills(self) -> bool:
        """Whether images fill their canvases (`resize_to_fill` of results)."""
        return self.resize.crops == "fill"

    @property
    def reads_threshold(self) -> bool:
        """Whether the threshold decides anything."""
        return True

    def check(self, rule: CropRule) -> None:
        """Refuse a rule that cannot be followed; crops of one canvas follow any.

        Args:
            rule: Rule of an operating point.

        Raises:
            ConfigError: It cannot.
        """

    def target_resolution(self, selection: Selection, image_size: Size) -> Size:  # noqa: ARG002
        """What a selection makes of an image, (height, width) in pixels: its tiling's windows.

        Args:
            selection: Selection of the image.
            image_size: (height, width) in pixels.
        """
        return self.geometry.window_resolution(selection.tiling)

    def selected_vision_tokens(self, selection: Selection, image_size: Size) -> int:  # noqa: ARG002
        """The budget of a selection, see `target_resolution` for the arguments."""
        return self.geometry.selected_vision_tokens(selection.crops)

    def selected_crop_tokens(self, selection: Selection, image_size: Size) -> int:  # noqa: ARG002
        """The same of the crops alone, without the global view."""
        return selection.crops * self.geometry.tokens_per_crop

    def llm_vision_tokens(self, selection: Selection, image_size: Size) -> int:  # noqa: ARG002
        """What the language model receives, see `target_resolution` for the arguments."""
        return self.geometry.llm_vision_tokens(selection.tiling)

    def select(self, height: int, width: int) -> Selection:
        """The crops of one image, see `select_crops`."""
        return select_crops(self.tier, height, width, self.geometry, self.threshold)

    def select_many(self, heights: ArrayLike, widths: ArrayLike) -> SelectionArrays:
        """The crops of many images, see `select_crops_many`."""
        return select_crops_many(self.tier, heights, widths, self.geometry, self.threshold)

    def measure(self, heights: NDArray[np.int64], widths: NDArray[np.int64]) -> Measured:
        """What becomes of many images, from their sizes alone.

        Args:
            heights: (N,) in pixels.
            widths: (N,) in pixels.

        Raises:
            ConfigError: The rule for tilings cannot be followed.
        """
        selection = self.select_many(heights, widths)
        return Measured(columns_of(heights, widths, selection, self.resize, self.geometry))


class TakesImages(Protocol):
    """What is asked here of a `ModelSource`, or of what stands in for one."""

    @property
    def geometry(self) -> CropGeometry:
        """The crops that tiers are counted in."""

    def preprocessing(self, tier: CropRule, threshold: Threshold, resize: Resize) -> Preprocessing:
        """How images become what the model sees."""


def read_preprocessing(config: DictConfig, source: TakesImages) -> Preprocessing:
    """What the groups `tier`, `threshold` and `resize` make of images for a model.

    Args:
        config: As composed.
        source: The model.

    Raises:
        ConfigError: A value that cannot work, or that the model has no use for.
    """
    return source.preprocessing(
        build(config, "tier", kind=CropRule, geometry=source.geometry),
        build(config, "threshold"),
        build(config, "resize"),
    )
