"""Samples and runs to take results of."""

from __future__ import annotations

import dataclasses

from tierexp.results.aggregate import aggregate
from tierexp.results.schema import (
    EvaluationResults,
    Failure,
    Provenance,
    RunFacts,
    SampleResult,
    TierRange,
)

LANDSCAPE = SampleResult(
    sample_id="a",
    tier="medium",
    tier_range=TierRange(4, 8),
    selected_tiling=(2, 3),
    original_image_size=(640, 480),
    original_aspect_ratio=640 / 480,
    target_resolution=(448, 672),
    target_aspect_ratio=1.5,
    resize_to_fill=True,
    top_k=8,
    num_active_blocks=14,
    question="Q?",
    prediction="yes",
    answers=("yes", "ja"),
    accuracy=1.0,
    task="coarse",
    chance=None,
    latency=None,
    image_key="a.jpg",
    metrics={
        "selected_crops": 6,
        "selected_vision_tokens": 1008,
        "actual_vision_tokens": 972,
        "actual_crop_tokens": 864,
        "llm_vision_tokens": 704,
        "utilization": 972 / 1008,
        "crop_utilization": 1.0,
        "aspect_ratio_mismatch": 0.0652,
        "content_kept": 0.889,
        "padding_fraction": 0.0,
    },
)


def with_metrics(sample: SampleResult, **values: float) -> SampleResult:
    """A sample with other values in some of its columns."""
    return dataclasses.replace(sample, metrics=sample.metrics | values)


SQUARE = with_metrics(
    dataclasses.replace(
        LANDSCAPE, sample_id="b", selected_tiling=(2, 2), image_key="b.jpg",
        original_image_size=(512, 512), original_aspect_ratio=1.0, target_resolution=(448, 448),
        target_aspect_ratio=1.0, prediction="né", accuracy=0.0, task="read",
    ),
    selected_crops=4, selected_vision_tokens=720, actual_vision_tokens=540, actual_crop_tokens=396,
    llm_vision_tokens=544, utilization=540 / 720, crop_utilization=396 / 576,
    aspect_ratio_mismatch=0.0,
)  # fmt: skip


KNOBS = {"top_k": 8, "num_active_blocks": 14}
FACTS = RunFacts("coco_2014_vqa", "molmo", "medium", TierRange(4, 8), True, KNOBS, "vqa")


PROVENANCE = Provenance({"seed": 0}, "abc", False, {"torch": "2.13.0"}, 0, "cpu")


def results_of(*samples: SampleResult, failures: tuple[Failure, ...] = ()) -> EvaluationResults:
    return aggregate(samples, failures, FACTS, 4.0, PROVENANCE)
