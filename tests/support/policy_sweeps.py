"""Static sweeps whose answers are made up: real pictures and tilings, invented scores."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from tests.support.results import LANDSCAPE
from tierexp.data.tierqa import TierQA
from tierexp.policies.sweep import Sweep, sweep_of
from tierexp.results.aggregate import aggregate
from tierexp.results.files import write_results
from tierexp.results.latency import SampleLatency
from tierexp.results.schema import EvaluationResults, Provenance, RunFacts, SampleResult, TierRange
from tierexp.tiers.files import load_tier
from tierexp.tiers.geometry import CropGeometry
from tierexp.tiers.selection import select_crops
from tierexp.tiers.threshold import Threshold

POINTS = ("low", "medium", "high")
_EASE = {"low": 0.1, "medium": 0.6, "high": 0.9}
"""The chance of reading a code."""


@cache
def run(
    point: str, split: str = "validation", images: int = 30, model: str = "tiny",
    timed: bool = False, top_k: int = 2,
) -> EvaluationResults:  # fmt: skip
    """One run at a tier, its scores drawn by question and tier."""
    dataset = TierQA(split, max_samples=7 * images)  # type: ignore[arg-type]
    tier, geometry = load_tier(point), CropGeometry()
    samples = []
    for index in range(len(dataset)):
        height, width = dataset.image_size(index)
        selection = select_crops(tier, height, width, geometry, Threshold())
        question = dataset[index]
        draw = np.random.default_rng(zlib.crc32(f"{split}{index}{point}".encode()))
        chance = _EASE[point] if question.task == "read" else 0.95
        right = bool(draw.random() < chance)
        tokens = geometry.llm_vision_tokens(selection.tiling)
        samples.append(
            dataclasses.replace(
                LANDSCAPE,
                sample_id=question.sample_id,
                tier=point,
                tier_range=TierRange(1, 15),
                selected_tiling=selection.tiling,
                original_image_size=(width, height),
                top_k=top_k,
                num_active_blocks=4,
                question=question.question,
                answers=question.answers,
                accuracy=float(right),
                task=question.task,
                image_key=dataset.image_key(index),
                metrics=LANDSCAPE.metrics
                | {
                    "selected_crops": selection.crops,
                    "aspect_ratio_mismatch": selection.mismatch,
                    "selected_vision_tokens": geometry.selected_vision_tokens(selection.crops),
                    "actual_crop_tokens": selection.crops * geometry.tokens_per_crop,
                    "crop_utilization": 1.0,
                    "llm_vision_tokens": tokens,
                    "confidence": float(-0.05 * draw.random() if right else -0.02 - draw.random()),
                    "first_margin": 0.9 if right else 0.2,
                },
                latency=_latency(selection.crops + 1, tokens) if timed else None,
            )
        )
    config = {
        "data": {
            "_target_": "tierexp.data.tierqa.TierQA", "split": split, "max_samples": 7 * images,
            "batch_size": 14, "num_workers": 0, "on_error": "skip",
        },
        "resize": {"crops": "fill"},
    }  # fmt: skip
    provenance = Provenance(config, None, None, {}, 0, "cpu", {"weights": "w", "samples": split})
    knobs = {"top_k": top_k, "num_active_blocks": 4}
    facts = RunFacts(dataset.name, model, point, TierRange(1, 15), True, knobs, "exact_match")
    return aggregate(samples, [], facts, 1.0, provenance)


def _latency(views: int, tokens: int) -> SampleLatency:
    """Times that follow a law: 2 ms a view, 20 microseconds a token, 3 ms a further token."""
    vision, prefill, decode = 2.0 * views, 1.0 + 0.02 * tokens, 3.0 * 4
    return SampleLatency(
        vision, prefill, decode, decode / 4, vision + prefill + decode, 5,
        1000 * views, 100 * tokens, 40,
    )  # fmt: skip


def sweep(points: Sequence[str] = POINTS, split: str = "validation", images: int = 30) -> Sweep:
    """Of runs that are nowhere on disk."""
    return sweep_of([run(point, split, images) for point in points], "here")


def write_sweep(
    folder: Path, split: str = "validation", images: int = 30, model: str = "tiny",
    points: Sequence[str] = POINTS, timed: bool = False,
) -> Path:  # fmt: skip
    """The same as results files."""
    for number, point in enumerate(points):
        results = run(point, split, images, model, timed)
        write_results(results, folder / f"{number}_tier-{point}" / results.file_name)
    return folder


def without(results: EvaluationResults, samples: Sequence[SampleResult]) -> EvaluationResults:
    """A run that lacks these samples."""
    kept = tuple(sample for sample in results.per_sample_results if sample not in samples)
    return dataclasses.replace(results, per_sample_results=kept)
