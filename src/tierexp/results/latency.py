"""How long the stages of answering take: what is to be measured, and what was.

In: the settings of the group `latency`, and the measurements of every sample. Out: statistics per
stage. Times are in milliseconds and named as in the results. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from tierexp.config.checks import choice, optional_whole_number, whole_number
from tierexp.models.protocol import MAX_NEW_TOKENS

Passes = Literal["one", "two"]

MAX_REPEATS = 1000
"""Most answers to one sample, and most of those before the clock counts."""

TIMES = ("T_vision_total", "T_LLM_prefill", "T_LLM_decode", "T_decode_per_token", "T_total")
FLOPS = ("flops_vision", "flops_prefill", "flops_decode")


@dataclass(frozen=True)
class NoLatency:
    """Nothing is timed."""


@dataclass(frozen=True)
class LatencySettings:
    """How latency is measured; always one sample at a time.

    Args:
        passes: `two` answers for accuracy first, in batches, and then once more for latency;
            `one` takes both from the same answers, one sample at a time.
        warmup: Answers before the clock counts, anew for every crop count.
        repeats: Answers to a sample; of each metric the median is kept.
        output_tokens: Every answer is decoded to so many tokens, whatever it says; null: as long
            as it is.

    Raises:
        ConfigError: Another word, or a number that cannot be.
    """

    passes: Passes = "two"
    warmup: int = 2
    repeats: int = 3
    output_tokens: int | None = None

    def __post_init__(self) -> None:
        choice("latency.passes", self.passes, get_args(Passes))
        whole_number("latency.warmup", self.warmup, 0, MAX_REPEATS)
        whole_number("latency.repeats", self.repeats, 1, MAX_REPEATS)
        optional_whole_number("latency.output_tokens", self.output_tokens, 1, MAX_NEW_TOKENS)


@dataclass(frozen=True)
class SampleLatency:
    """What one sample took.

    Args:
        T_vision_total: Crops to vision tokens; None where the model does not tell it from the next.
        T_LLM_prefill: The prompt, up to the answer's first token.
        T_LLM_decode: The answer's tokens after that.
        T_decode_per_token: The same for one of them; None for an answer of a single token.
        T_total: From crops on the device to the answer's ids.
        new_tokens: New tokens of the answer, the end of text included.
        flops_vision: Estimated operations of that stage, as of the next two; None where the model
            cannot tell.
        flops_prefill: See `flops_vision`.
        flops_decode: See `flops_vision`.
        cache_bytes: Bytes of the keys and values of prompt and answer; None for a model that
            does not say.
    """

    T_vision_total: float | None
    T_LLM_prefill: float
    T_LLM_decode: float
    T_decode_per_token: float | None
    T_total: float
    new_tokens: int
    flops_vision: int | None
    flops_prefill: int | None
    flops_decode: int | None
    cache_bytes: int | None = None


@dataclass(frozen=True)
class StageStatistics:
    """Milliseconds over the samples that have the stage; the standard deviation is that of the
    population.
    """

    mean: float
    std: float
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True)
class LatencyResults:
    """The latency of one configuration.

    Args:
        passes: Whether accuracy comes from the same answers (`one`) or from earlier ones (`two`).
        warmup: As in `LatencySettings`, like the next two.
        repeats: See `warmup`.
        output_tokens: See `warmup`.
        batch_size: 1: samples are timed alone.
        num_samples: That were timed.
        new_tokens_mean: Mean number of new tokens of the answers.
        stages: By name of `TIMES`; a stage that no sample had is missing.
        flops_mean: By name of `FLOPS`; what the model cannot tell is missing.
        peak_memory_bytes: Peak memory of the device while timing, weights included; on a CPU
            the most that the process has had since it began, data loading and earlier runs
            included.
        cache_bytes_mean: Mean bytes of the keys and values of prompt and answer; None where
            no sample says.
    """

    passes: Passes
    warmup: int
    repeats: int
    output_tokens: int | None
    batch_size: int
    num_samples: int
    new_tokens_mean: float
    stages: dict[str, StageStatistics]
    flops_mean: dict[str, float]
    peak_memory_bytes: int
    cache_bytes_mean: float | None = None


def together(passes: Sequence[SampleLatency]) -> SampleLatency:
    """What the passes over one sample took, one after the other.

    Args:
        passes: At least one.
    """

    def total(name: str) -> float:
        return float(sum(getattr(one, name) for one in passes))

    def operations(name: str) -> int | None:
        counts = [getattr(one, name) for one in passes]
        return None if None in counts else sum(counts)

    apart = all(one.T_vision_total is not None for one in passes)
    decoded = sum(one.new_tokens - 1 for one in passes)
    decode = total("T_LLM_decode")
    return SampleLatency(
        T_vision_total=total("T_vision_total") if apart else None,
        T_LLM_prefill=total("T_LLM_prefill"),
        T_LLM_decode=decode,
        T_decode_per_token=decode / decoded if decoded else None,
        T_total=total("T_total"),
        new_tokens=sum(one.new_tokens for one in passes),
        flops_vision=operations("flops_vision"),
        flops_prefill=operations("flops_prefill"),
        flops_decode=operations("flops_decode"),
    )


def aggregate_latency(
    settings: LatencySettings, samples: Sequence[SampleLatency], peak_memory_bytes: int
) -> LatencyResults:
    """Statistics over samples, at least one.

    Args:
        settings: How they were measured.
        samples: What each took.
        peak_memory_bytes: See `LatencyResults`.
    """

    def column(name: str) -> list[float]:
        values = (getattr(sample, name) for sample in samples)
        return [float(value) for value in values if value is not None]

    stages = {}
    for name in TIMES:
        values = column(name)
        if values:
            p50, p95, p99 = np.percentile(values, [50, 95, 99])
            stages[name] = StageStatistics(
                float(np.mean(values)), float(np.std(values)), float(p50), float(p95), float(p99)
            )
    return LatencyResults(
        passes=settings.passes,
        warmup=settings.warmup,
        repeats=settings.repeats,
        output_tokens=settings.output_tokens,
        batch_size=1,
        num_samples=len(samples),
        new_tokens_mean=float(np.mean(column("new_tokens"))),
        stages=stages,
        flops_mean={name: float(np.mean(counts)) for name in FLOPS if (counts := column(name))},
        peak_memory_bytes=peak_memory_bytes,
        cache_bytes_mean=float(np.mean(column("cache_bytes"))) if column("cache_bytes") else None,
    )


def latency_metrics(results: LatencyResults) -> dict[str, float]:
    """What is logged: `test/T_total_mean`, `_p50`, `_p95` and `_p99` in milliseconds, the same of
    the other stages, `test/flops_..._mean` and `test/peak_memory_bytes`.
    """
    logged = {"test/peak_memory_bytes": float(results.peak_memory_bytes)}
    for stage, statistics in results.stages.items():
        for name in ("mean", "p50", "p95", "p99"):
            logged[f"test/{stage}_{name}"] = getattr(statistics, name)
    if results.cache_bytes_mean is not None:
        logged["test/cache_bytes_mean"] = results.cache_bytes_mean
    logged |= {f"test/{name}_mean": flops for name, flops in results.flops_mean.items()}
    return logged
