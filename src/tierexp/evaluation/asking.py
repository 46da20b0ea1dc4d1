"""Asking a model at the operating points that a policy wants, as often as it wants.

In: a batch that is prepared for its samples' first point. Out: every sample's passes, the last of
which has the answer that counts. Knows nothing of scores, records or files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tierexp.data.batch import EvaluationBatch, FailedSample, PreparedSample
from tierexp.data.datamodule import TierDataModule
from tierexp.errors import ConfigError
from tierexp.evaluation.latency_meter import LatencyMeter
from tierexp.models.confidence import AnswerFacts, ConfidenceMeter, UnansweredError
from tierexp.models.knobs.knob import KnobValue
from tierexp.models.protocol import BatchInputs, ModelSource, SharesView, VisionLanguageModel
from tierexp.results.latency import SampleLatency
from tierexp.runtime.out_of_memory import SplitOnOutOfMemory
from tierexp.tiers.policy import PointAnswer, Policy

Answers = tuple[Tensor, SampleLatency | None, Sequence[AnswerFacts]]
"""What a batch is answered: ids (B, L), what they took where they are timed, facts of each."""


@dataclass(frozen=True)
class Pass:
    """One answer to one sample.

    Args:
        prepared: The sample, as it was prepared for the pass's point.
        text: The answer.
        facts: What is known of it.
        latency: What it took; None where it was not timed.
        knobs: What they came to, by name.
        reuses_view: Whether the global view was taken from an earlier pass.
    """

    prepared: PreparedSample
    text: str
    facts: AnswerFacts
    latency: SampleLatency | None
    knobs: Mapping[str, KnobValue]
    reuses_view: bool = False


Outcome = tuple[Pass, ...] | FailedSample | PreparedSample
"""A sample's passes, at least one; or why its image cannot be read or its question is not answered,
or the sample itself where it does not fit into memory alone."""


def answered(
    model: VisionLanguageModel, inputs: BatchInputs, max_new_tokens: int, meter: LatencyMeter | None
) -> Answers:
    """What a model says to a batch.

    Args:
        model: On its device, its knobs set.
        inputs: On the device; of one sample where it is timed.
        max_new_tokens: The longest answer.
        meter: Times the answers; None where nobody does.
    """
    observer, latency = ConfidenceMeter(), None
    if meter is None:
        tokens = model.generate(inputs, max_new_tokens, observer=observer)
    else:
        try:
            tokens, latency = meter.measure(inputs, max_new_tokens, observer)
        except UnansweredError as error:
            return torch.empty(1, 0, dtype=torch.long), None, [AnswerFacts(failure=str(error))]
    return tokens, latency, observer.facts(len(tokens))


class PointAsker:
    """Answers batches.

    Args:
        policy: That wants the points.
        sources: The model's source at every point, all of the same weights.
        data: That prepares samples for further points.
        model: On its device, its knobs as the last run has left them.
        device: It is on.
        answer: Answers a batch.
        decode: Ids to text.
    """

    def __init__(
        self,
        policy: Policy,
        sources: Sequence[ModelSource],
        data: TierDataModule,
        model: VisionLanguageModel,
        device: torch.device,
        answer: Callable[[BatchInputs], Answers],
        decode: Callable[[Sequence[int]], str],
    ) -> None:
        self._policy = policy
        self._sources = sources
        self._data = data
        self._model = model
        self._device = device
        self._decode = decode
        self._parts = SplitOnOutOfMemory(answer)
        self._turned_to: int | None = None
        again = len(policy.points) > 1 and getattr(policy, "asks_again", True)
        self._sharing = model if again and isinstance(model, SharesView) else None

    @property
    def halved(self) -> int:
        """How many batches did not fit into memory so far."""
        return self._parts.halved

    def turn_to(self, point: int) -> None:
        """Set the model's knobs to a point's."""
        if point != self._turned_to:
            self._sources[point].apply_knobs(self._model)
            self._turned_to = point

    def __call__(self, batch: EvaluationBatch) -> Iterator[list[Outcome]]:
        """What came of a batch's samples, some at a time, as soon as it is known.

        Args:
            batch: On the device.
        """
        passes: dict[int, tuple[Pass, ...]] = {}
        waiting = [batch]
        if self._sharing is not None:
            self._sharing.shared_view.begin()
        while waiting:
            some = waiting.pop(0)
            if some.failures:
                yield list(some.failures)
            again: dict[int, list[int]] = {}
            for part in self._passes(some):
                if isinstance(part, PreparedSample | FailedSample):
                    yield [part]
                    continue
                done: list[Outcome] = []
                for one in part:
                    index = one.prepared.index
                    passes[index] = (*passes.get(index, ()), one)
                    point = self._next(passes[index])
                    if point is None:
                        done.append(passes.pop(index))
                    else:
                        again.setdefault(point, []).append(index)
                if done:
                    yield done
            for point, indices in again.items():
                waiting += [more.to(self._device) for more in self._data.at(indices, point)]
            if self._sharing is not None:
                self._sharing.shared_view.next_pass()
        if self._sharing is not None:
            self._sharing.shared_view.end()

    def _passes(
        self, batch: EvaluationBatch
    ) -> Iterator[list[Pass] | PreparedSample | FailedSample]:
        """One pass over a batch, in parts that fit into memory."""
        if batch.inputs is None:
            return
        self.turn_to(batch.prepared[0].point)
        reused = [False] * len(batch.prepared)
        if self._sharing is not None:
            reused = list(self._sharing.earlier_views(batch.inputs))
        for rows, answers in self._parts(batch.inputs):
            part = batch.prepared[rows.start : rows.stop]
            if answers is None:
                yield part[0]
                continue
            tokens, latency, known = answers
            knobs = self._sources[batch.prepared[0].point].knob_values
            answered = []
            of_part = reused[rows.start : rows.stop]
            for prepared, row, facts, view in zip(
                part, tokens.tolist(), known, of_part, strict=True
            ):
                if facts.failure is not None:
                    yield FailedSample(prepared.index, facts.failure)
                else:
                    answered.append(Pass(prepared, self._decode(row), facts, latency, knobs, view))
            yield answered

    def _next(self, passes: Sequence[Pass]) -> int | None:
        """The point to ask next; None where the last answer counts.

        Raises:
            ConfigError: The policy asks for a point that has answered, or that it does not have.
        """
        answers = [
            PointAnswer(
                one.prepared.point,
                one.text,
                one.facts.confidence.mean_log_probability,
                one.facts.confidence.first_margin,
            )
            for one in passes
        ]
        point = self._policy.again(self._data.view(passes[0].prepared.index), answers)
        left = set(range(len(self._policy.points))) - {answer.point for answer in answers}
        if point is not None and point not in left:
            allowed = f"another point of {sorted(left)}, or none, after {len(answers)} answers"
            raise ConfigError("policy", self._policy.name, f"{allowed}, not {point}")
        return point
