"""The Lightning module of an evaluation: generate, decode, score, record.

In: batches of samples of equal crop count. Out: a record of every sample, and the aggregates that
are logged under `test/...`. Knows nothing about files, consoles or how images became crops.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from time import perf_counter
from typing import Any, TypeVar

from lightning import LightningModule
from typing_extensions import override

from tierexp.data.batch import EvaluationBatch, FailedSample, PreparedSample
from tierexp.data.datamodule import TierDataModule
from tierexp.data.scores.registry import find_score
from tierexp.errors import ConfigError, DataError, MachineError
from tierexp.evaluation.asking import Answers, PointAsker, answered
from tierexp.evaluation.journal import Journal
from tierexp.evaluation.journal import Record as JournalRecord
from tierexp.evaluation.latency_meter import LatencyMeter
from tierexp.evaluation.latency_pass import PEAK, peak_before
from tierexp.evaluation.recording import Recorder
from tierexp.evaluation.setup import EvaluationSetup
from tierexp.models.protocol import BatchInputs, VisionLanguageModel
from tierexp.results.aggregate import (
    aggregates_of,
    mme_totals,
    num_unparsed,
    task_accuracies,
    task_accuracy,
)
from tierexp.results.codec import decode_many, entries_of
from tierexp.results.latency import (
    LatencyResults,
    aggregate_latency,
    latency_metrics,
)
from tierexp.results.metrics import (
    logged_metrics,
)
from tierexp.results.schema import (
    Failure,
    RunFacts,
    SampleResult,
    TierRange,
)
from tierexp.runtime.loaded_model import load_once
from tierexp.runtime.processes.group import Processes
from tierexp.tiers.policy import crop_range

Record = TypeVar("Record", SampleResult, Failure)


class TierEvaluation(LightningModule):
    """Scores a model's answers to a data set at one tier.

    Logs `test/accuracy`, `test/accuracy_<task>`, `test/accuracy_ci95_low` and `_high`,
    `test/mismatch_mean` and `_p95`, `test/utilization_mean`, `test/selected_vision_tokens_mean`,
    their likes for crops and other token counts, `test/num_samples`, `test/num_failed`,
    `test/num_unparsed` where a score reads a choice or a number, and
    `test/samples_per_second`; of MME also `test/mme_perception` and `_cognition`. They are metrics
    of all samples, in the data set's order, whatever batches and processes these came from.

    Args:
        setup: The tier, the data set and the model, whose weights are read when a run starts.
        data: That prepares the samples.
        journal: Keeps what is finished; what an earlier run has kept counts as measured.
        processes: That share the run; the first collects what all have measured, and logs.
    """

    def __init__(
        self,
        setup: EvaluationSetup,
        data: TierDataModule,
        journal: Journal,
        processes: Processes,
    ) -> None:
        super().__init__()
        self._setup = setup
        self._data = data
        self._asker: PointAsker | None = None
        self._tokenizer = setup.source.tokenizer()
        self._score = find_score(setup.dataset.score)
        self._recorder = Recorder(setup, self._score)
        self._samples: dict[int, SampleResult] = {}
        self._failures: dict[int, Failure] = {}
        self.loaded = False
        """Whether the weights have been read."""
        self._journal = journal
        self._processes = processes
        self._halved_kept = 0
        self._started = 0.0
        self.halved_batches = 0
        """How many batches did not fit into memory so far."""
        self.seconds = 0.0
        """How long the evaluation took, model loading excluded."""
        self._restore(journal.records)
        self._seconds_before = self.seconds
        self.meter: LatencyMeter | None = None
        """Times the answers, where accuracy and latency come from the same."""

    @property
    def places(self) -> list[int]:
        """Where in the data set the samples are that were measured so far, in its order."""
        return sorted(self._samples)

    @property
    def samples(self) -> list[SampleResult]:
        """What was measured there, in the same order."""
        return [self._samples[index] for index in self.places]

    def samples_since(self, count: int) -> list[SampleResult]:
        """What was measured after the first `count` samples, in the order it was measured."""
        return list(islice(self._samples.values(), count, None))

    @property
    def num_samples(self) -> int:
        """How many were measured so far."""
        return len(self._samples)

    @property
    def points(self) -> dict[int, list[int]]:
        """Numbers of the operating points that have answered each sample so far, in order, by its
        place in the data set.
        """
        numbers = {point.name: number for number, point in enumerate(self._setup.policy.points)}
        return {
            index: [
                *(numbers[earlier.point] for earlier in sample.earlier_passes),
                0 if sample.point is None else numbers[sample.point],
            ]
            for index, sample in self._samples.items()
        }

    def turn_to(self, point: int) -> None:
        """Set the model's knobs to an operating point's; known once the model is loaded."""
        assert self._asker is not None
        self._asker.turn_to(point)

    @property
    def failures(self) -> list[Failure]:
        """Samples that could not be evaluated so far, in the data set's order."""
        return [self._failures[index] for index in sorted(self._failures)]

    @property
    def failed(self) -> set[int]:
        """Their places in the data set."""
        return set(self._failures)

    @property
    def latency(self) -> LatencyResults | None:
        """Latency of the answers so far; None where they are not timed."""
        timed = [s.latency for s in self.samples if s.latency is not None]
        settings = self._setup.latency
        if self.meter is None or settings is None or not timed:
            return None
        return aggregate_latency(settings, timed, self.meter.peak_memory_bytes)

    @property
    def facts(self) -> RunFacts:
        """What holds for every sample; known once the model is loaded."""
        setup, policy = self._setup, self._setup.policy
        return RunFacts(
            dataset=setup.dataset.name,
            model=setup.source.name,
            tier=policy.name,
            tier_range=TierRange(*crop_range(policy)),
            resize_to_fill=setup.preprocessing.fills,
            knobs=setup.source.knob_values,
            score=self._score.name,
            metrics=setup.metrics,
        )

    @override
    def setup(self, stage: str) -> None:
        """Read the weights onto the trainer's device."""
        device = self.trainer.strategy.root_device
        self.model: VisionLanguageModel = load_once(self._setup.source, device)
        self.loaded = True
        self._refuse_policy()
        self._asker = PointAsker(
            self._setup.policy, self._setup.point_sources, self._data, self.model, device,
            self._answer, self._tokenizer.decode,
        )  # fmt: skip
        settings = self._setup.latency
        if settings is not None and settings.passes == "one":
            self.meter = LatencyMeter(settings, self.model, device, peak_before(self._journal))

    def _refuse_policy(self) -> None:
        """Refuse a policy that asks for what the loaded model does not tell.

        Raises:
            ConfigError: It needs confidences, and the model tells none.
        """
        policy = self._setup.policy
        needs = getattr(policy, "needs_confidence", False)
        if needs and not getattr(self.model, "tells_confidence", True):
            allowed = "with a model that tells its confidence: this server sends no logprobs"
            raise ConfigError("policy", policy.name, allowed)

    @override
    def on_test_start(self) -> None:
        """Start the clock."""
        self._started = perf_counter()

    @override
    def test_step(self, batch: EvaluationBatch, batch_index: int) -> None:
        """Answer the questions of one batch and record what came of them."""
        if not (batch.prepared or batch.failures):
            return
        assert self._asker is not None
        for outcomes in self._asker(batch):
            results: dict[int, SampleResult] = {}
            failures: dict[int, Failure] = {}
            for outcome in outcomes:
                match outcome:
                    case FailedSample():
                        failures[outcome.index] = self._failed(outcome)
                    case PreparedSample():
                        failures[outcome.index] = self._too_large(outcome)
                    case _:
                        results[outcome[0].prepared.index] = self._recorder(outcome)
            self._keep(results, failures)
        self._processes.check()

    @override
    def on_test_epoch_end(self) -> None:
        """Wait for the other processes, and log what all have measured."""
        self._processes.barrier("measured")
        if not self._processes.first:
            return
        self.collect()
        samples = self.samples
        values = {
            "num_samples": float(len(samples)),
            "num_failed": float(len(self._failures)),
        }
        if self.meter is None:
            values["samples_per_second"] = len(samples) / self.seconds
        if samples:
            values |= self._accuracies(samples)
        logged = {f"test/{name}": value for name, value in values.items()}
        if samples:
            metrics = self._setup.metrics
            logged |= logged_metrics(metrics, aggregates_of(metrics, samples))
        latency = self.latency
        logged |= {} if latency is None else latency_metrics(latency)
        self.log_dict(logged, rank_zero_only=True)

    def _accuracies(self, samples: Sequence[SampleResult]) -> dict[str, float]:
        """Logged name to accuracy, of at least one sample."""
        overall = task_accuracy(samples)
        low, high = overall.accuracy_ci95
        values = {
            "accuracy": overall.accuracy, "accuracy_ci95_low": low, "accuracy_ci95_high": high,
        }  # fmt: skip
        for task, of_task in task_accuracies(samples).items():
            values[f"accuracy_{task}"] = of_task.accuracy
        unparsed = num_unparsed(samples)
        values |= {} if unparsed is None else {"num_unparsed": float(unparsed)}
        if self._score.name == "mme":
            totals = mme_totals(samples)
            official = {"perception": totals.perception, "cognition": totals.cognition}
            values |= {f"mme_{k}": score for k, score in official.items() if score is not None}
        return values

    def collect(self) -> None:
        """Take over what the other processes have measured so far."""
        self._restore(self._journal.others())

    def _answer(self, inputs: BatchInputs) -> Answers:
        return answered(self.model, inputs, self._setup.source.max_new_tokens, self.meter)

    def _failed(self, failed: FailedSample) -> Failure:
        """The failure of a sample whose image cannot be read, or that the model could not answer.

        Raises:
            DataError: `data.on_error` is `raise`.
        """
        name = self._setup.dataset[failed.index].sample_id
        if self._setup.loader.on_error == "raise":
            raise DataError(f"sample {name}: {failed.reason}")
        return Failure(name, failed.reason)

    def _too_large(self, prepared: PreparedSample) -> Failure:
        """The failure of a sample that does not fit into memory alone.

        Raises:
            MachineError: `data.on_error` is `raise`.
        """
        name = self._setup.dataset[prepared.index].sample_id
        crops = prepared.selection.crops
        reason = f"with {crops} crops it does not fit into memory, not even alone"
        if self._setup.loader.on_error == "raise":
            raise MachineError(f"sample {name}: {reason}")
        return Failure(name, reason)

    def _keep(self, results: Mapping[int, SampleResult], failures: Mapping[int, Failure]) -> None:
        """Take down what came of samples, here and on the disk."""
        self._take(results, failures)
        self.seconds = self._seconds_before + perf_counter() - self._started
        counted = 0 if self._asker is None else self._asker.halved
        halved, self._halved_kept = counted - self._halved_kept, counted
        self.halved_batches += halved
        self._journal.append(
            {
                "samples": {index: entries_of(result) for index, result in results.items()},
                "failures": {index: entries_of(failure) for index, failure in failures.items()},
                "seconds": self.seconds,
                "halved_batches": halved,
            }
            | ({} if self.meter is None else {PEAK: self.meter.peak_memory_bytes})
        )

    def _restore(self, records: Iterable[JournalRecord]) -> None:
        for record in records:
            if "samples" not in record:
                continue
            self._take(
                _records(SampleResult, record["samples"]),
                _records(Failure, record["failures"]),
            )
            self.halved_batches += record["halved_batches"]
            # Of processes side by side, the one that took longest.
            self.seconds = max(self.seconds, record["seconds"])

    def _take(self, results: Mapping[int, SampleResult], failures: Mapping[int, Failure]) -> None:
        self._samples |= results
        self._failures |= failures
        # What has failed is tried again, perhaps by another process.
        for index in self._failures.keys() & self._samples.keys():
            del self._failures[index]


def _records(kind: type[Record], entries: Mapping[str, dict[str, Any]]) -> dict[int, Record]:
    """Records of a journal by their places in the data set."""
    # What is decoded is taken apart, and a journal's records are read more than once.
    records = decode_many(kind, [dict(values) for values in entries.values()])
    return dict(zip(map(int, entries), records, strict=True))
