"""The second pass over a data set, for latency alone: every sample is answered and timed alone.

In: batches of one sample, and the model that has answered for accuracy. Out: what each sample
took. Knows nothing of scores.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence

from lightning import LightningModule
from typing_extensions import override

from tierexp.data.batch import EvaluationBatch
from tierexp.data.datamodule import TierDataModule
from tierexp.evaluation.journal import Journal
from tierexp.evaluation.latency_meter import LatencyMeter
from tierexp.models.confidence import UnansweredError
from tierexp.models.protocol import BatchInputs, SharesView, VisionLanguageModel
from tierexp.results.latency import (
    LatencyResults,
    LatencySettings,
    SampleLatency,
    aggregate_latency,
    latency_metrics,
    together,
)

_log = logging.getLogger(__name__)

PEAK = "peak_memory_bytes"
"""Key of a journal's records of what was timed."""


def peak_before(journal: Journal) -> int:
    """The peak memory, in bytes, of what an earlier run has timed."""
    return max((int(record[PEAK]) for record in journal.records if PEAK in record), default=0)


class LatencyPass(LightningModule):
    """Times a model's answers.

    Args:
        settings: How.
        model: On its device.
        max_new_tokens: The longest answer.
        points: Numbers of the operating points that have answered every sample, in order.
        turn_to: Sets the model's knobs to a point's.
        data: That prepares the samples, one in a batch.
        journal: Keeps what is finished; what an earlier run has kept counts as measured.
    """

    def __init__(
        self,
        settings: LatencySettings,
        model: VisionLanguageModel,
        max_new_tokens: int,
        points: Mapping[int, Sequence[int]],
        turn_to: Callable[[int], None],
        data: TierDataModule,
        journal: Journal,
    ) -> None:
        super().__init__()
        self._settings = settings
        self._points = points
        self._turn_to = turn_to
        self._data = data
        # A child, where it is a torch module: Lightning has moved it off the device at the end of
        # the pass before.
        self.model: VisionLanguageModel = model
        self._max_new_tokens = max_new_tokens
        self.meter: LatencyMeter | None = None
        self._journal = journal
        self.samples: dict[int, SampleLatency] = {
            int(index): SampleLatency(**values)
            for record in journal.records
            for index, values in record.get("timed", {}).items()
        }
        """By place in the data set."""
        self._peak_before = peak_before(journal)

    @property
    def results(self) -> LatencyResults | None:
        """Statistics so far; None where no sample was timed."""
        if self.meter is None or not self.samples:
            return None
        samples = [self.samples[index] for index in sorted(self.samples)]
        return aggregate_latency(self._settings, samples, self.meter.peak_memory_bytes)

    @override
    def on_test_start(self) -> None:
        """Start measuring the memory."""
        self.meter = LatencyMeter(self._settings, self.model, self.device, self._peak_before)

    @override
    def test_step(self, batch: EvaluationBatch, batch_index: int) -> None:
        """Answer one sample and record what it took; one without an image has no latency."""
        for failed in batch.failures:
            self._say(failed.index, failed.reason)
        if batch.inputs is None or self.meter is None:
            return
        (prepared,) = batch.prepared
        try:
            timed = self._timed(prepared.index, batch.inputs)
        except UnansweredError as error:
            self._say(prepared.index, error)
            return
        if timed is None:
            return
        self.samples[prepared.index] = timed
        self._journal.append(
            {
                "timed": {prepared.index: dataclasses.asdict(timed)},
                PEAK: self.meter.peak_memory_bytes,
            }
        )

    def _timed(self, index: int, inputs: BatchInputs) -> SampleLatency | None:
        """What all passes over a sample took; None where its image cannot be read any more."""
        assert self.meter is not None
        first, *later = self._points[index]
        sharing = self.model if later and isinstance(self.model, SharesView) else None
        if sharing is not None:
            sharing.shared_view.begin()
        self._turn_to(first)
        passes = [self.meter.measure(inputs, self._max_new_tokens)[1]]
        for point in later:
            if sharing is not None:
                sharing.shared_view.next_pass()
            self._turn_to(point)
            (more,) = self._data.at([index], point)
            if more.inputs is None:
                self._say(index, more.failures[0].reason)
                return None
            moved = more.inputs.to(self.device)
            passes.append(self.meter.measure(moved, self._max_new_tokens)[1])
        if sharing is not None:
            sharing.shared_view.end()
        return together(passes) if later else passes[0]

    @override
    def on_test_epoch_end(self) -> None:
        """Log the statistics."""
        results = self.results
        if results is not None:
            self.log_dict(latency_metrics(results))

    def _say(self, index: int, reason: object) -> None:
        sample_id = self._data.dataset[index].sample_id
        _log.warning("sample %s is not timed: %s", sample_id, reason)
