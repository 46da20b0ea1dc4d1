"""From one sample to the arrays a model takes: the tier-based preprocessing.

In: a data set, a plan and an index. Out: the model's inputs of one sample, or why its image
cannot be read. Runs in worker processes; knows nothing about batches.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tierexp.data.batch import FailedSample, PreparedSample
from tierexp.data.plan import EvaluationPlan
from tierexp.data.sample import QuestionDataset, ScaledDecoding
from tierexp.errors import ImageDecodeError
from tierexp.imaging.measurements import ImageMeasurements, OneImage
from tierexp.imaging.preprocessing import Preprocessing
from tierexp.imaging.resize import Size
from tierexp.models.protocol import InputBuilder, PreparedImage, TakesSmallerImages
from tierexp.tiers.geometry import Tiling
from tierexp.tiers.rule import CropRule
from tierexp.tiers.selection import Selection


@dataclass(frozen=True)
class PreparedRow:
    """One row of a batch before it is padded.

    Args:
        inputs: As the model's `InputBuilder` makes them.
        prepared: What is recorded of the sample.
    """

    inputs: Any
    prepared: PreparedSample


@dataclass(frozen=True)
class _TiledImage:
    """An image at an operating point, and what is recorded of it; questions about it share it.

    Args:
        image: As the model's `InputBuilder` makes it.
        size: (height, width) in pixels, as displayed.
        selection: Its tiling.
        target_resolution: (height, width) of the tiling's windows, in pixels.
        measured: What the tiling does to it.
    """

    image: PreparedImage
    size: Size
    selection: Selection
    target_resolution: Size
    measured: OneImage


class SamplePreparer:
    """Prepares samples of a data set by index; a map-style data set for `DataLoader`.

    Args:
        dataset: The samples.
        plan: Their selections.
        preprocessing: How an image meets its canvas, and the model's crops.
        builder: What makes the model's inputs.
    """

    def __init__(
        self,
        dataset: QuestionDataset,
        plan: EvaluationPlan,
        preprocessing: Preprocessing,
        builder: InputBuilder,
    ) -> None:
        self._dataset = dataset
        self._plan = plan
        self._builder = builder
        # Asked once, as a sample is prepared in a fifth of a millisecond.
        self._at_points = [replace(preprocessing, tier=rule) for rule in plan.rules]
        self._scaled = (
            (dataset, builder)
            if isinstance(dataset, ScaledDecoding) and isinstance(builder, TakesSmallerImages)
            else None
        )
        self._last: tuple[tuple[str, CropRule, Tiling], _TiledImage] | None = None

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> PreparedRow | FailedSample:
        if index in self._plan.unreadable:
            return FailedSample(index, self._plan.unreadable[index])
        point = self._plan.points[index]
        return self._prepared(index, point, self._at_points[point], self._plan.selections[index])

    def at(self, index: int, point: int) -> PreparedRow | FailedSample:
        """A sample at another operating point than the plan's, or why its image cannot be read.

        Args:
            index: Index of a sample whose image has a size.
            point: Number of the point.
        """
        how = self._at_points[point]
        return self._prepared(index, point, how, how.select(*self._plan.sizes[index]))

    def _prepared(
        self, index: int, point: int, how: Preprocessing, selection: Selection
    ) -> PreparedRow | FailedSample:
        try:
            tiled = self._tiled(index, how, selection)
        except ImageDecodeError as error:
            return FailedSample(index, str(error))
        prepared = PreparedSample(
            index=index,
            point=point,
            image_size=tiled.size,
            selection=tiled.selection,
            target_resolution=tiled.target_resolution,
            measured=tiled.measured,
        )
        question = self._dataset[index].question
        row = self._builder.row(tiled.image, selection.tiling, how.geometry, question)
        return PreparedRow(row, prepared)

    def _tiled(self, index: int, how: Preprocessing, selection: Selection) -> _TiledImage:
        """Questions about one image follow each other, so the last image is worth keeping."""
        key = self._dataset.image_key(index), how.tier, selection.tiling
        if self._last is None or self._last[0] != key:
            size, image = self._plan.sizes[index], self._image(index, how, selection.tiling)
            self._last = key, _TiledImage(
                image, size, selection, how.target_resolution(selection, size),
                _measured(how, size, selection, image),
            )  # fmt: skip
        return self._last[1]

    def _image(self, index: int, how: Preprocessing, tiling: Tiling) -> PreparedImage:
        if self._scaled is not None:
            (dataset, builder), size = self._scaled, self._plan.sizes[index]
            pixels = dataset.image_at_least(index, builder.needed_size(size, tiling, how))
            prepared: PreparedImage = builder.smaller_image(pixels, size, tiling, how)
            return prepared
        whole: PreparedImage = self._builder.image(self._dataset.image(index), tiling, how)
        return whole


def _measured(
    how: Preprocessing, size: tuple[int, int], selection: Selection, image: PreparedImage
) -> OneImage:
    """What results record of an image of (height, width) `size`."""
    rows, cols = selection.tiling
    read = how.llm_vision_tokens(selection, size)
    return ImageMeasurements(
        height=size[0],
        width=size[1],
        rows=rows,
        cols=cols,
        crops=selection.crops,
        mismatch=selection.mismatch,
        selected_vision_tokens=how.selected_vision_tokens(selection, size),
        selected_crop_tokens=how.selected_crop_tokens(selection, size),
        actual_vision_tokens=image.actual_vision_tokens,
        actual_crop_tokens=image.actual_crop_tokens,
        llm_vision_tokens=read,
        unreduced_vision_tokens=read,
        content_kept=image.content_kept,
        padding_fraction=image.padding_fraction,
    )
