"""What results keep of one sample that has been answered.

In: its passes through the model, and what the run decided beforehand. Out: a record, scored and
measured. Imports no torch of its own; samples that are about one image share what is said of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tierexp.data.batch import PreparedSample
from tierexp.data.scores.registry import Score
from tierexp.evaluation.asking import Pass
from tierexp.evaluation.setup import EvaluationSetup
from tierexp.imaging.measurements import OneImage
from tierexp.models.knobs.knob import KnobValue
from tierexp.results.latency import together
from tierexp.results.metrics import (
    Answer,
    Number,
    SharedColumns,
    values_of_answer,
    values_of_image,
)
from tierexp.results.schema import EarlierPass, SampleResult, TierRange, whole


@dataclass(frozen=True)
class _Image:
    """What records say of an image at an operating point.

    Args:
        measured: Measurements of the image; the same object for all samples about it that follow
            each other.
        point: Number of the point.
        size: (width, height) in pixels, as displayed.
        aspect_ratio: Width / height.
        target_aspect_ratio: The same of its tiling's windows.
        columns: Declared ones, by name.
    """

    measured: OneImage
    point: int
    size: tuple[int, int]
    aspect_ratio: float
    target_aspect_ratio: float
    columns: dict[str, Number | None]


class Recorder:
    """Makes records of samples.

    Args:
        setup: Setup of the run.
        score: Score of an answer.
    """

    def __init__(self, setup: EvaluationSetup, score: Score) -> None:
        self._setup = setup
        self._score = score
        self._points = setup.policy.points
        self._ranges = [TierRange(p.tier.min_crops, p.tier.max_crops) for p in self._points]
        self._last: _Image | None = None
        self._knobs: dict[str, KnobValue] = {}

    def __call__(self, passes: Sequence[Pass]) -> SampleResult:
        """What was measured of a sample; its last answer counts."""
        setup, points = self._setup, self._points
        *earlier, last = passes
        prepared, point = last.prepared, points[last.prepared.point]
        sample, image = setup.dataset[prepared.index], self._image(prepared)
        if self._knobs != last.knobs:
            self._knobs = dict(last.knobs)
        timed = [one.latency for one in passes if one.latency is not None]
        score = self._score(last.text, sample.answers, sample.options)
        sure, billed = last.facts.confidence, last.facts.billed_tokens
        answer = Answer(
            last.text, sample.answers, score, sure.mean_log_probability, sure.first_margin, billed
        )
        return SampleResult(
            sample_id=sample.sample_id,
            tier=point.tier.name,
            tier_range=self._ranges[prepared.point],
            selected_tiling=prepared.selection.tiling,
            original_image_size=image.size,
            original_aspect_ratio=image.aspect_ratio,
            target_resolution=prepared.target_resolution,
            target_aspect_ratio=image.target_aspect_ratio,
            resize_to_fill=setup.preprocessing.fills,
            top_k=whole(last.knobs, "top_k"),
            num_active_blocks=whole(last.knobs, "num_active_blocks"),
            knobs=self._knobs,
            question=sample.question,
            prediction=last.text,
            answers=sample.answers,
            accuracy=score,
            task=sample.task,
            chance=(
                None
                if sample.blind_guess is None
                else self._score(sample.blind_guess, sample.answers, sample.options)
            ),
            latency=together(timed) if timed else None,
            image_key=setup.dataset.image_key(prepared.index),
            point=point.name if len(points) > 1 else None,
            earlier_passes=tuple(self._given_up(one) for one in earlier),
            reused_vision_tokens=self._view_tokens * sum(one.reuses_view for one in passes),
            is_parsed=(
                None
                if self._score.parses is None
                else self._score.is_parsed(last.text, sample.answers, sample.options)
            ),
            metrics=SharedColumns(image.columns, values_of_answer(setup.metrics, answer)),
        )

    def _image(self, prepared: PreparedSample) -> _Image:
        last, measured = self._last, prepared.measured
        if last is None or last.measured is not measured or last.point != prepared.point:
            height, width = prepared.image_size
            target_height, target_width = prepared.target_resolution
            columns = values_of_image(self._setup.metrics, self._reduced(prepared))
            last = self._last = _Image(
                measured, prepared.point, (width, height), width / height,
                target_width / target_height, columns,
            )  # fmt: skip
        return last

    @property
    def _view_tokens(self) -> int:
        geometry = self._setup.preprocessing.geometry
        return geometry.global_views * geometry.tokens_per_crop

    def _reduced(self, prepared: PreparedSample) -> OneImage:
        """What was measured of an image, less the tokens that the language model drops."""
        received = prepared.measured.llm_vision_tokens
        reduction = self._setup.point_reductions[prepared.point]
        return replace(prepared.measured, llm_vision_tokens=reduction.count(received))

    def _given_up(self, one: Pass) -> EarlierPass:
        prepared = one.prepared
        return EarlierPass(
            point=self._setup.policy.points[prepared.point].name,
            selected_crops=prepared.selection.crops,
            selected_vision_tokens=prepared.measured.selected_vision_tokens,
            llm_vision_tokens=self._reduced(prepared).llm_vision_tokens,
            prediction=one.text,
            confidence=one.facts.confidence.mean_log_probability,
            first_margin=one.facts.confidence.first_margin,
            latency=one.latency,
        )
