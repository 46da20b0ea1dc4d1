"""Results of the system that came before this one, which fixed a number of vision tokens.

In: a file named `<task>_visiontoken<tokens>_topk<k>_blocks<n>.json`. Out: what it says, in this
project's words; what it does not say is None, never inferred. A target of 1008 tokens is the
baseline `fixed_1008`. Imports no torch.

Two of its habits are undone: where a sample's stage took 0.0 ms it was not timed, and the length of
an answer is in `output_tokens`. One can not be: it counted `actual_vision_tokens` at the language
model's input, so that they are kept as they are and no utilization is made of them.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tierexp.errors import DataError, TierexpError
from tierexp.errors.json_text import parse_json
from tierexp.results.intervals import wilson_interval
from tierexp.results.latency import TIMES, StageStatistics
from tierexp.results.metrics import BUILT_IN, Metric, declared
from tierexp.results.schema import ReadColumns, TierRange
from tierexp.tiers.tier import fixed_tier

PATTERN = "*_visiontoken*.json"
EXPECTED = "<task>_visiontoken<tokens>_topk<k>_blocks<n>.json"

_HUGE = 1e300
_NAME = re.compile(r"(.+)_visiontoken(\d+)_topk(\d+)_blocks(\d+)\.json")
_SAMPLE_LISTS = ("per_sample_results", "all_samples", "results")
_STAGE_TABLES = ("aggregate_stats", "latency_stats")
_STATISTICS = ("mean", "std", "p50", "p95", "p99")


@dataclass(frozen=True)
class OlderSample:
    """What an older file says of one sample, named as in `SampleResult`; None where it does not.

    Args:
        sample_id: Id of the sample; several processes may have given the same one.
        selected_crops: Crops, the global view not counted.
        selected_tiling: (rows, cols) of the crops.
        aspect_ratio_mismatch: As the older system defined it.
        selected_vision_tokens: The budget.
        actual_vision_tokens: See the head of this module.
        llm_vision_tokens: What the language model receives.
        original_image_size: (width, height) in pixels.
        question: As put to the model.
        prediction: What it answered.
        answers: Every accepted answer.
        accuracy: Score of the prediction in [0, 1].
        new_tokens: New tokens of the answer.
        times: Milliseconds by stage, of `TIMES`; a stage that was not timed is missing.
    """

    sample_id: str | None
    selected_crops: int | None
    selected_tiling: tuple[int, int] | None
    aspect_ratio_mismatch: float | None
    selected_vision_tokens: int | None
    actual_vision_tokens: int | None
    llm_vision_tokens: int | None
    original_image_size: tuple[int, int] | None
    question: str | None
    prediction: str | None
    answers: tuple[str, ...] | None
    accuracy: float | None
    new_tokens: int | None
    times: dict[str, float]


@dataclass(frozen=True)
class OlderLatency:
    """Statistics by stage; a stage that was not timed is missing."""

    stages: dict[str, StageStatistics]


_MEANS = ("actual_vision_tokens", "llm_vision_tokens", "aspect_ratio_mismatch")
_METRICS = tuple(
    dataclasses.replace(metric, statistics=("mean",))
    for metric in declared(BUILT_IN)
    if metric.name in ("selected_vision_tokens", "utilization", *_MEANS)
)


@dataclass(frozen=True)
class OlderResults(ReadColumns):
    """One older file; fields and aggregates are named as in `EvaluationResults`, and None where it
    has none.

    Means are over the samples where all of them have the metric, else those that the file states.
    """

    tier: str
    tier_range: TierRange
    dataset: str
    top_k: int
    num_active_blocks: int
    num_samples: int | None
    accuracy: float | None
    accuracy_ci95: tuple[float, float] | None
    latency: OlderLatency | None
    per_sample_results: tuple[OlderSample, ...]
    aggregates: dict[str, float | None]
    metrics: tuple[Metric, ...] = _METRICS
    model: str | None = None
    score: str | None = None
    resize_to_fill: bool | None = None


def read_older_results(path: Path) -> OlderResults:
    """Read one file.

    Args:
        path: Path of the file; its name says the task, the tokens, the experts and the blocks.

    Raises:
        DataError: It is named otherwise, cannot be read, contradicts its name, holds no results, or
            a value is of the wrong kind.
    """
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise DataError(f"{path} is not named as older results are, {EXPECTED}")
    task, tokens, top_k, blocks = match[1], *map(int, match.groups()[1:])
    content = _read_object(path)
    try:
        tier = fixed_tier(tokens)
        stated = {"target_vision_tokens": tokens, "top_k": top_k, "num_active_blocks": blocks}
        for key, value in stated.items():
            if content.get(key) not in (None, value):
                raise DataError(f"its name says {key}={value}, its content {content[key]!r}")
        samples = _samples(content)
        return _results(content, samples, tier.name, tier.min_crops, task, top_k, blocks, tokens)
    except TierexpError as error:
        raise DataError(f"{path}: {error}") from None


def _results(
    content: Mapping[str, Any],
    samples: tuple[OlderSample, ...],
    tier: str,
    crops: int,
    task: str,
    top_k: int,
    blocks: int,
    tokens: int,
) -> OlderResults:
    accuracy = _mean(samples, "accuracy", _number(content, "accuracy"))
    count = len(samples) or _whole(content, "num_samples")
    stages = _stages(content, samples)
    if accuracy is None and not stages:
        raise DataError("it holds no accuracy and no latency")
    if accuracy is not None and not 0 <= accuracy <= 1:
        raise DataError(f"accuracy={accuracy!r} is not between 0 and 1")
    means = {name: _stated_mean(content, samples, name) for name in _MEANS}
    selected = _mean(samples, "selected_vision_tokens", None)
    means["selected_vision_tokens"] = tokens if selected is None else selected
    return OlderResults(
        tier=tier,
        tier_range=TierRange(crops, crops),
        # The older names of data sets have underscores, which its file names cannot hold.
        dataset=task.replace("-", "_"),
        top_k=top_k,
        num_active_blocks=blocks,
        num_samples=count,
        accuracy=accuracy,
        accuracy_ci95=wilson_interval(accuracy, count) if accuracy is not None and count else None,
        latency=OlderLatency(stages) if stages else None,
        per_sample_results=samples,
        aggregates={f"{name}_mean": value for name, value in means.items()}
        | {"utilization_mean": None},
    )


def _samples(content: Mapping[str, Any]) -> tuple[OlderSample, ...]:
    lists = [content[key] for key in _SAMPLE_LISTS if content.get(key) is not None]
    entries = lists[0] if lists else []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise DataError("its samples are not a list of objects")
    samples = []
    for number, entry in enumerate(entries):
        try:
            samples.append(_sample(entry))
        except DataError as error:
            raise DataError(f"sample {number}: {error}") from None
    return tuple(samples)


def _sample(entry: Mapping[str, Any]) -> OlderSample:
    metadata = entry.get("metadata")
    told = {**(metadata if isinstance(metadata, dict) else {}), **entry}
    sample_id = told.get("sample_id")
    accuracy = _number(told, "accuracy", "score")
    if accuracy is not None and not 0 <= accuracy <= 1:
        raise DataError(f"accuracy={accuracy!r} is not between 0 and 1")
    times = {stage: _number(told, stage) for stage in TIMES}
    return OlderSample(
        sample_id=None if sample_id is None else str(sample_id),
        selected_crops=_whole(told, "selected_crops", "actual_num_crops"),
        selected_tiling=_pair(told, "selected_tiling", "actual_tiling"),
        aspect_ratio_mismatch=_number(told, "aspect_ratio_mismatch"),
        selected_vision_tokens=_whole(told, "selected_vision_tokens", "target_vision_tokens"),
        actual_vision_tokens=_whole(told, "actual_vision_tokens"),
        llm_vision_tokens=_whole(told, "llm_vision_tokens"),
        original_image_size=_pair(told, "original_image_size", "image_size"),
        question=_text(told, "question"),
        prediction=_text(told, "prediction", "pred"),
        answers=_texts(told, "answers"),
        accuracy=accuracy,
        new_tokens=_whole(told, "output_tokens"),
        times={stage: time for stage, time in times.items() if time},
    )


def _stages(
    content: Mapping[str, Any], samples: Sequence[OlderSample]
) -> dict[str, StageStatistics]:
    tables = [content[key] for key in _STAGE_TABLES if isinstance(content.get(key), dict)]
    stated: Mapping[str, Any] = tables[0] if tables else content
    stages = {}
    for stage in TIMES:
        values = [sample.times[stage] for sample in samples if stage in sample.times]
        if values:
            p50, p95, p99 = np.percentile(values, [50, 95, 99])
            statistics = [np.mean(values), np.std(values), p50, p95, p99]
            stages[stage] = StageStatistics(*map(float, statistics))
        elif not samples:
            numbers = [_number(stated, f"{stage}_{name}") for name in _STATISTICS]
            known = [number for number in numbers if number is not None]
            if len(known) == len(numbers) and any(known):
                stages[stage] = StageStatistics(*known)
    return stages


def _stated_mean(
    content: Mapping[str, Any], samples: Sequence[OlderSample], name: str
) -> float | None:
    return _mean(samples, name, _number(content, f"{name}_mean"))


def _mean(samples: Sequence[OlderSample], name: str, stated: float | None) -> float | None:
    values = [getattr(sample, name) for sample in samples]
    complete = bool(values) and None not in values
    return float(np.mean(values)) if complete else stated


def _first(values: Mapping[str, Any], keys: Sequence[str]) -> tuple[str, Any]:
    for key in keys:
        if values.get(key) is not None:
            return key, values[key]
    return keys[0], None


def _number(values: Mapping[str, Any], *keys: str) -> float | None:
    key, value = _first(values, keys)
    if value is None:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    # No number that is meant exceeds this, and a whole one of 400 digits has no float.
    if not (number and abs(value) < _HUGE and math.isfinite(value)):
        raise DataError(f"{key}={repr(value)[:40]} is not a number")
    if value < 0:
        raise DataError(f"{key}={value!r} is below 0")
    return float(value)


def _whole(values: Mapping[str, Any], *keys: str) -> int | None:
    number = _number(values, *keys)
    if number is not None and number != int(number):
        key, value = _first(values, keys)
        raise DataError(f"{key}={value!r} is not a whole number")
    return None if number is None else int(number)


def _pair(values: Mapping[str, Any], *keys: str) -> tuple[int, int] | None:
    key, value = _first(values, keys)
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2 or not all(type(n) is int for n in value):
        raise DataError(f"{key}={value!r} is not two whole numbers")
    return value[0], value[1]


def _text(values: Mapping[str, Any], *keys: str) -> str | None:
    key, value = _first(values, keys)
    if value is not None and not isinstance(value, str):
        raise DataError(f"{key}={value!r} is not text")
    return value


def _texts(values: Mapping[str, Any], key: str) -> tuple[str, ...] | None:
    value = values.get(key)
    if value is None:
        return None
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise DataError(f"{key}={value!r} is not a list of texts")
    return tuple(texts)


def _read_object(path: Path) -> dict[str, Any]:
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise DataError(f"{path} is not a results file: {error}") from None
    if not isinstance(content, dict):
        raise DataError(f"{path} is not a results file: it holds no JSON object")
    return content
