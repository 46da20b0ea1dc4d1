"""How the images of a run meet a family's own processor.

In: a family's preset, the groups `tier` and `resize`. Out: a `Preprocessing` that selects a grid of
the family's for every image, the size to bring it to, and what it costs. The processor itself is
the family's.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import override

from tierexp.errors import ConfigError, ImageDecodeError
from tierexp.imaging.preprocessing import Measured, Preprocessing
from tierexp.imaging.resize import Resize, Size, place
from tierexp.models.plans.columns import columns_in_tier, columns_of_own_rule
from tierexp.models.plans.plan import FamilyGeometry, Grid, Preset
from tierexp.models.plans.token_tiers import (
    FamilyTier,
    TierChoice,
    UnreachableTierError,
    family_tier,
)
from tierexp.tiers.aspects import mismatches
from tierexp.tiers.geometry import CropGeometry, Tiling
from tierexp.tiers.rule import CropRule, FamilyRule
from tierexp.tiers.selection import Selection, SelectionArrays
from tierexp.tiers.threshold import Threshold

_PLAIN = CropGeometry(overlap_margins=(0, 0))
"""Stands for crops or cells that do not overlap, of which only the number is drawn."""


@dataclass(frozen=True)
class SizedImage:
    """An image brought to the size of its grid; a `PreparedImage`.

    Args:
        pixels: (height, width, 3) uint8 RGB.
        settings: Settings of the family's processor that differ from the preset's, as pairs.
        vision_tokens: That the plan says it costs; every one shows a part of the image.
        marks: Around them, by the plan.
        content_kept: Fraction of the image's area that is left.
    """

    pixels: NDArray[np.uint8]
    settings: tuple[tuple[str, object], ...]
    vision_tokens: int
    marks: int
    content_kept: float

    @property
    def actual_vision_tokens(self) -> int:
        """See `PreparedImage`."""
        return self.vision_tokens

    @property
    def actual_crop_tokens(self) -> int:
        """All of them: the family's plan does not tell a global view's from the others."""
        return self.vision_tokens

    @property
    def padding_fraction(self) -> float:
        """Fraction of what the processor is given that does not show the image: nothing of it."""
        return 0.0


@dataclass(frozen=True)
class FamilyPreprocessing(Preprocessing):
    """Which grid of a family an image gets.

    Args:
        preset: The family.
    """

    preset: Preset = field(kw_only=True)

    @classmethod
    def of(
        cls, preset: Preset, tier: CropRule, threshold: Threshold, resize: Resize
    ) -> FamilyPreprocessing:
        """How the images of a family become what its processor takes.

        Args:
            preset: The family.
            tier: The rule for grids.
            threshold: Its default: the least mismatch wins.
            resize: How an image meets the size of its grid.

        Raises:
            ConfigError: A value that no family has a use for.
        """
        if resize.crops == "letterbox":
            raise ConfigError("resize.crops", resize.crops, "fill or stretch with a model.family")
        if resize.exact:
            raise ConfigError("resize.exact", True, "false with a model.family: pixels have 8 bits")
        if threshold != Threshold():
            allowed = "default with a model.family: the least mismatch wins"
            raise ConfigError("threshold", threshold.value, allowed)
        geometry = replace(_PLAIN, global_view=preset.geometry.global_view)
        return cls(tier=tier, resize=resize, geometry=geometry, preset=preset)

    @classmethod
    def like(cls, preset: Preset, preprocessing: Preprocessing) -> FamilyPreprocessing:
        """The same for the images of a family, see `of`."""
        how = preprocessing
        return cls.of(preset, how.tier, how.threshold, how.resize)

    @property
    @override
    def reads_threshold(self) -> bool:
        return False

    @override
    def check(self, rule: CropRule) -> None:
        """Refuse a rule that is neither a tier nor native, and a tier that the family has no grid
        in.
        """
        self._compiled(rule)

    @property
    def family(self) -> str:
        """Its name."""
        return self.preset.family

    @property
    def geometry_of_family(self) -> FamilyGeometry:
        """Its rule."""
        return self.preset.geometry

    @property
    @override
    def fills(self) -> bool:
        return self.resize.crops == "fill" and self._compiled(self.tier) is not None

    def choice(self, grid: Grid) -> TierChoice | None:
        """What the tier has chosen with a grid; None under the family's own rule."""
        compiled = self._compiled(self.tier)
        return None if compiled is None else compiled.by_grid[grid]

    def sized(self, pixels: NDArray[np.uint8], tiling: Tiling) -> SizedImage:
        """An image at the size that the processor makes its grid of; as it is under the family's
        own rule.

        Args:
            pixels: (height, width, 3) uint8 RGB.
            tiling: That was selected.

        Raises:
            ImageDecodeError: The family's processor takes no image of this size.
        """
        size = pixels.shape[0], pixels.shape[1]
        if tiling == (0, 0):
            reason = f"refuses images of {size[1]} x {size[0]} pixels"
            raise ImageDecodeError(f"{self.family}'s processor {reason}")
        choice = self.choice(tiling)
        if choice is None:
            own = self.geometry_of_family.plan(*size)
            return SizedImage(pixels, (), own.vision_tokens, own.marks, 1.0)
        from tierexp.imaging.resample import resample  # needs torch; nothing else here does

        placement = place(size, choice.size, self.resize.crops)
        brought = cast("NDArray[np.uint8]", resample(pixels, placement, False, True))
        settings = tuple(sorted(choice.settings.items()))
        plan, kept = choice.plan, placement.content_kept
        return SizedImage(brought, settings, plan.vision_tokens, plan.marks, kept)

    @override
    def target_resolution(self, selection: Selection, image_size: Size) -> Size:
        choice = self.choice(selection.tiling)
        return image_size if choice is None else choice.size

    @override
    def selected_vision_tokens(self, selection: Selection, image_size: Size) -> int:
        choice = self.choice(selection.tiling)
        if choice is not None:
            return choice.budget
        geometry = self.geometry_of_family
        plans = geometry.plan_many([image_size[0]], [image_size[1]])
        return int(geometry.budgets(plans)[0])

    @override
    def selected_crop_tokens(self, selection: Selection, image_size: Size) -> int:
        return self.selected_vision_tokens(selection, image_size)

    @override
    def llm_vision_tokens(self, selection: Selection, image_size: Size) -> int:
        choice = self.choice(selection.tiling)
        if choice is not None:
            return choice.plan.vision_tokens
        plans = self.geometry_of_family.plan_many([image_size[0]], [image_size[1]])
        return int(plans.vision_tokens[0])

    @override
    def select(self, height: int, width: int) -> Selection:
        return self.select_many([height], [width]).of_image(0)

    @override
    def select_many(self, heights: ArrayLike, widths: ArrayLike) -> SelectionArrays:
        """The grids of many images, (0, 0) where the family's processor refuses an image."""
        geometry = self.geometry_of_family
        compiled = self._compiled(self.tier)
        if compiled is None:
            plans = geometry.plan_many(heights, widths)
            grids = plans.grids
            height, width = np.atleast_1d(heights), np.atleast_1d(widths)
            aspects = geometry.aspects(height.astype(np.int64), width.astype(np.int64))
            mismatch = np.where(plans.refused, 0.0, mismatches(np.maximum(grids, 1), *aspects))
        else:
            planned = compiled.plan_many(heights, widths)
            grids = compiled.grids[planned.chosen]
            mismatch = planned.mismatch
        # An image of cells is one crop.
        crops = grids[:, 0] * grids[:, 1] if geometry.unit == "crop" else np.ones_like(grids[:, 0])
        return SelectionArrays(crops, grids, mismatch)

    @override
    def measure(self, heights: NDArray[np.int64], widths: NDArray[np.int64]) -> Measured:
        """See `Preprocessing`; what a family's own rule pads is not known."""
        compiled = self._compiled(self.tier)
        if compiled is None:
            return columns_of_own_rule(heights, widths, self.preset)
        return Measured(columns_in_tier(heights, widths, compiled, self.preset, self.fills))

    def within(self, rule: CropRule) -> FamilyTier | None:
        """A tier in the family; None for the family's own rule.

        Raises:
            ConfigError: The rule is neither.
            UnreachableTierError: The family makes no grid within it.
        """
        if not isinstance(rule, FamilyRule):
            allowed = f"a tier or native with model.family={self.family}"
            raise ConfigError("tier", rule.name, allowed)
        tier = rule.as_tier
        return None if tier is None else family_tier(self.geometry_of_family, tier)

    def _compiled(self, rule: CropRule) -> FamilyTier | None:
        """See `within`; a tier out of the family's reach is a mistake of the user."""
        try:
            return self.within(rule)
        except UnreachableTierError as error:
            raise ConfigError("tier", rule.name, f"{self.family} has {error}") from None
