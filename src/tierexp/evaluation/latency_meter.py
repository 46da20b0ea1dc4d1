"""Timing one sample's stages on its device.

In: a model and the inputs of one sample. Out: the answer and what it took. The device is waited
for wherever a clock starts or stops, so that a stage's time is its own.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from time import perf_counter

import torch
from torch import Tensor

from tierexp.models.confidence import UNOBSERVED, AnswerObserver
from tierexp.models.protocol import BatchInputs, VisionLanguageModel
from tierexp.models.stages import Stage
from tierexp.results.latency import LatencySettings, SampleLatency

_STAGES: tuple[Stage, ...] = ("vision", "prefill", "decode")


class StageTimes:
    """A `StageClock` that adds up what each stage takes.

    Args:
        device: To wait for.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.seconds: dict[Stage, float] = {}
        """Seconds of the stages that the model tells apart."""
        self.tokens: int | None = None
        """Tokens of the answer; None where its row has one for each."""
        self.started = self.now()

    @contextmanager
    def stage(self, name: Stage) -> Iterator[None]:
        """Time a stage."""
        start = self.now()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + self.now() - start

    def restart(self) -> None:
        """Forget what was timed."""
        self.seconds.clear()
        self.started = self.now()

    def generated(self, tokens: int) -> None:
        """Take down how many tokens the answer has."""
        self.tokens = tokens

    def now(self) -> float:
        """Seconds, once the device has done all that it was told."""
        if self._device.type != "cpu":
            torch.accelerator.synchronize(self._device)
        return perf_counter()


class LatencyMeter:
    """Answers samples one at a time and times it.

    Args:
        settings: How often.
        model: That answers.
        device: It runs on.
        peak_before: Peak memory of the part of the run that was measured earlier, in bytes.
    """

    def __init__(
        self,
        settings: LatencySettings,
        model: VisionLanguageModel,
        device: torch.device,
        peak_before: int = 0,
    ) -> None:
        self._settings = settings
        self._peak_before = peak_before
        self._model = model
        self._device = device
        self._warm: set[int] = set()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    @property
    def peak_memory_bytes(self) -> int:
        """See `LatencyResults`."""
        if self._device.type == "cuda":
            peak = torch.cuda.max_memory_allocated(self._device)
        else:
            unit = 1 if sys.platform == "darwin" else 1024
            peak = unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return max(peak, self._peak_before)

    def measure(
        self,
        inputs: BatchInputs,
        max_new_tokens: int,
        observer: AnswerObserver = UNOBSERVED,
    ) -> tuple[Tensor, SampleLatency]:
        """The answer to one sample, (1, L), and what it took.

        Args:
            inputs: Inputs of one sample.
            max_new_tokens: The longest answer; `output_tokens`, where it is set, instead.
            observer: Is told what the tokens were chosen from, of the last repeat alone: what it
                does with that takes time, and of the repeats the median is kept.
        """
        if len(inputs) != 1:
            raise ValueError(f"{len(inputs)} samples cannot be timed as one")
        settings, views = self._settings, inputs.views
        fixed = settings.output_tokens is not None
        length = max_new_tokens if settings.output_tokens is None else settings.output_tokens
        prepare = getattr(self._model, "before_timing", None)
        if prepare is not None:
            prepare(inputs)
        if views not in self._warm:
            self._warm.add(views)
            for _ in range(settings.warmup):
                self._model.generate(inputs, length, fixed_length=fixed)
        runs = []
        for repeat in range(settings.repeats):
            told = observer if repeat == settings.repeats - 1 else UNOBSERVED
            times = StageTimes(self._device)
            tokens = self._model.generate(
                inputs, length, clock=times, fixed_length=fixed, observer=told
            )
            spent, total = times.seconds, times.now() - times.started
            runs.append([*(spent.get(stage, 0.0) for stage in _STAGES), total])
        vision, prefill, decode, total = (1e3 * median(stage) for stage in zip(*runs, strict=True))
        new_tokens = tokens.shape[1] if times.tokens is None else times.tokens
        # A model of one's own need not know what it costs.
        known = getattr(self._model, "stage_flops", None)
        flops = None if known is None else known(inputs, new_tokens)
        return tokens, SampleLatency(
            T_vision_total=vision if "vision" in spent else None,
            T_LLM_prefill=prefill,
            T_LLM_decode=decode,
            T_decode_per_token=decode / (new_tokens - 1) if new_tokens > 1 else None,
            T_total=total,
            new_tokens=new_tokens,
            flops_vision=None if flops is None else flops.vision,
            flops_prefill=None if flops is None else flops.prefill,
            flops_decode=None if flops is None else flops.decode,
            cache_bytes=_cache_bytes(self._model, inputs, new_tokens),
        )


def _cache_bytes(model: VisionLanguageModel, inputs: BatchInputs, new_tokens: int) -> int | None:
    """What a model says of its cache; not every one does."""
    says = getattr(model, "cache_bytes", None)
    return None if says is None else int(says(inputs, new_tokens))
