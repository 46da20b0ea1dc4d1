"""From one sample to the arrays a model takes: the tier-based preprocessing.

In: a data set, a plan and an index. Out: crops, patch mask and token layout of one sample, or why
its image cannot be read. Runs in worker processes; knows nothing about batches.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tierexp.data.batch import FailedSample, PreparedSample
from tierexp.data.plan import EvaluationPlan
from tierexp.data.sample import QuestionDataset, ScaledDecoding
from tierexp.errors import ImageDecodeError
from tierexp.imaging.crops import MaskOrder
from tierexp.imaging.preprocess import PreprocessedImage, needed_size, preprocess
from tierexp.imaging.preprocessing import Preprocessing
from tierexp.models.protocol import QuestionTokenizer
from tierexp.models.token_layout import layout_tokens
from tierexp.tiers.geometry import Tiling
from tierexp.tiers.rule import CropRule
from tierexp.tiers.selection import Selection


@dataclass(frozen=True)
class PreparedRow:
    """One row of a batch before it is padded.

    Args:
        image: Its crops and masks; rows about one image share it.
        input_ids: (T,) int64.
        image_input_idx: (N + 1, K) int64, for N crops and the global view.
        prepared: What is recorded of the sample.
    """

    image: PreprocessedImage
    input_ids: NDArray[np.int64]
    image_input_idx: NDArray[np.int64]
    prepared: PreparedSample


class SamplePreparer:
    """Prepares samples of a data set by index; a map-style data set for `DataLoader`.

    Args:
        dataset: The samples.
        plan: Their selections.
        preprocessing: How an image meets its canvas, and the model's crops.
        tokenizer: Of the model.
        mask_order: Of the model.
    """

    def __init__(
        self,
        dataset: QuestionDataset,
        plan: EvaluationPlan,
        preprocessing: Preprocessing,
        tokenizer: QuestionTokenizer,
        mask_order: MaskOrder,
    ) -> None:
        self._dataset = dataset
        self._plan = plan
        self._preprocessing = preprocessing
        self._tokenizer = tokenizer
        self._mask_order = mask_order
        self._last: tuple[tuple[str, Tiling], PreprocessedImage] | None = None

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> PreparedRow | FailedSample:
        if index in self._plan.unreadable:
            return FailedSample(index, self._dataset[index], self._plan.unreadable[index])
        return self._prepared(index, self._plan.points[index], self._plan.selections[index])

    def at(self, index: int, point: int, tier: CropRule) -> PreparedRow | FailedSample:
        """A sample at another operating point than the plan's, or why its image cannot be read.

        Args:
            index: Of a sample whose image has a size.
            point: Number of the point.
            tier: The point's rule.
        """
        how = replace(self._preprocessing, tier=tier)
        return self._prepared(index, point, how.select(*self._plan.sizes[index]))

    def _prepared(self, index: int, point: int, selection: Selection) -> PreparedRow | FailedSample:
        sample, geometry = self._dataset[index], self._preprocessing.geometry
        try:
            image = self._preprocessed(index, selection.tiling)
        except ImageDecodeError as error:
            return FailedSample(index, sample, str(error))
        layout = layout_tokens(
            selection.tiling,
            geometry,
            self._tokenizer.image_tokens,
            self._tokenizer.before_image,
            self._tokenizer.encode_prompt(sample.question),
        )
        prepared = PreparedSample(
            index=index,
            point=point,
            sample=sample,
            image_size=self._plan.sizes[index],
            selection=selection,
            target_resolution=geometry.window_resolution(selection.tiling),
            selected_vision_tokens=geometry.selected_vision_tokens(selection.crops),
            actual_vision_tokens=image.actual_vision_tokens,
            actual_crop_tokens=image.actual_crop_tokens,
            llm_vision_tokens=geometry.llm_vision_tokens(selection.tiling),
            content_kept=image.content_kept,
            padding_fraction=image.padding_fraction,
        )
        return PreparedRow(image, layout.input_ids, layout.image_input_idx, prepared)

    def _preprocessed(self, index: int, tiling: Tiling) -> PreprocessedImage:
        """Questions about one image follow each other, so the last image is worth keeping."""
        key = self._dataset.image_key(index), tiling
        if self._last is None or self._last[0] != key:
            size, how = self._plan.sizes[index], self._preprocessing
            if isinstance(self._dataset, ScaledDecoding):
                least = needed_size(size, tiling, how.resize, how.geometry)
                pixels = self._dataset.image_at_least(index, least)
            else:
                pixels = self._dataset.image(index)
            image = preprocess(pixels, tiling, how.resize, how.geometry, self._mask_order, size)
            self._last = key, image
        return self._last[1]
