"""Samples and runs to take results of."""

from __future__ import annotations

import dataclasses

from tierexp.results.schema import (
    EvaluationResults,
    Failure,
    Provenance,
    RunFacts,
    SampleResult,
    TierRange,
    aggregate,
)

LANDSCAPE = SampleResult(
    sample_id="a",
    tier="medium",
    tier_range=TierRange(4, 8),
    selected_crops=6,
    selected_tiling=(2, 3),
    aspect_ratio_mismatch=0.0652,
    selected_vision_tokens=1008,
    actual_vision_tokens=972,
    llm_vision_tokens=704,
    original_image_size=(640, 480),
    original_aspect_ratio=640 / 480,
    target_resolution=(448, 672),
    target_aspect_ratio=1.5,
    resize_to_fill=True,
    content_kept=0.889,
    padding_fraction=0.0,
    top_k=8,
    num_active_blocks=14,
    question="Q?",
    prediction="yes",
    answers=("yes", "ja"),
    accuracy=1.0,
    task="coarse",
    actual_crop_tokens=864,
    chance=None,
    latency=None,
    image_key="a.jpg",
)


SQUARE = dataclasses.replace(
    LANDSCAPE, sample_id="b", selected_crops=4, selected_tiling=(2, 2), aspect_ratio_mismatch=0.0,
    image_key="b.jpg",
    selected_vision_tokens=720, actual_vision_tokens=540, llm_vision_tokens=544,
    original_image_size=(512, 512), original_aspect_ratio=1.0, target_resolution=(448, 448),
    target_aspect_ratio=1.0, prediction="né", accuracy=0.0, task="read", actual_crop_tokens=396,
)  # fmt: skip


KNOBS = {"top_k": 8, "num_active_blocks": 14}
FACTS = RunFacts("coco_2014_vqa", "molmo", "medium", TierRange(4, 8), True, KNOBS, "vqa")


PROVENANCE = Provenance({"seed": 0}, "abc", False, {"torch": "2.13.0"}, 0, "cpu")


def results_of(*samples: SampleResult, failures: tuple[Failure, ...] = ()) -> EvaluationResults:
    return aggregate(samples, failures, FACTS, 4.0, PROVENANCE)
