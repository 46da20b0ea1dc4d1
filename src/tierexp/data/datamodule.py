"""The Lightning DataModule of an evaluation: tier-based preprocessing in worker processes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from functools import cached_property

import torch
from lightning import LightningDataModule

from tierexp.data.batch import EvaluationBatch, FailedSample
from tierexp.data.collate import Collate
from tierexp.data.loader import SurvivingLoader
from tierexp.data.plan import EvaluationPlan, divide, plan_evaluation
from tierexp.data.prepare import PreparedRow, SamplePreparer
from tierexp.data.sample import OnError, QuestionDataset, Sample
from tierexp.data.views import DatasetView
from tierexp.errors import DataError
from tierexp.imaging.preprocessing import Preprocessing
from tierexp.models.protocol import ModelSource
from tierexp.tiers.policy import Policy


class TierDataModule(LightningDataModule):
    """Samples cut into the crops that a tier selects, in batches of equal crop count.

    Args:
        dataset: The samples.
        source: The model they are prepared for: what makes its inputs.
        preprocessing: How images become crops.
        batch_size: Most samples of a batch.
        num_workers: Worker processes; 0 prepares in the main process.
        on_error: What an unreadable image does: `skip` counts it as failed, `raise` ends the run.
        done: Samples that an earlier run has finished: they are left out of their batches, and the
            others are in the same batches as without.
        shard: (which, of how many): of the batches that are left, the part that this process
            evaluates, the first being 0. Where nothing is left to it, it has one batch without
            samples: Lightning logs nothing of a pass without batches.
        policy: That chooses every sample's operating point; None for the preprocessing as it is.

    Raises:
        DataError: The header of an image cannot be read and `on_error` is `raise`.
    """

    def __init__(
        self,
        dataset: QuestionDataset,
        source: ModelSource,
        preprocessing: Preprocessing,
        batch_size: int = 8,
        num_workers: int = 2,
        on_error: OnError = "skip",
        done: Collection[int] = (),
        shard: tuple[int, int] = (0, 1),
        policy: Policy | None = None,
    ) -> None:
        super().__init__()
        self.dataset = dataset
        self.plan: EvaluationPlan = plan_evaluation(dataset, preprocessing, batch_size, policy)
        if on_error == "raise" and self.plan.unreadable:
            index, reason = next(iter(self.plan.unreadable.items()))
            raise _broken(dataset[index], reason)
        self._batch_size = batch_size
        self._source = source
        self._preprocessing = preprocessing
        self._num_workers = num_workers
        self._on_error = on_error
        finished = set(done)
        rest = (tuple(index for index in batch if index not in finished) for batch in self.plan)
        left = [batch for batch in rest if batch]
        which, shards = shard
        mine = divide([self.plan.weight(batch) for batch in left], shards)[which]
        self.batches = [left[place] for place in mine] or [()]

    def test_dataloader(self) -> SurvivingLoader:
        """Batches of type `EvaluationBatch`.

        Raises:
            MachineError: When iterated, worker processes are killed again and again.
        """
        return self._loader

    def begun(self) -> AbstractContextManager[None]:
        """Workers prepare the first batches meanwhile, before a trainer asks for them."""
        return self._loader.begun()

    def view(self, index: int) -> DatasetView:
        """A sample of the plan as a policy sees it."""
        return DatasetView(self.dataset, index, self.plan.sizes[index])

    def at(self, indices: Sequence[int], point: int) -> list[EvaluationBatch]:
        """Samples at another operating point than the plan's, prepared in this process: batches of
        equal crop count, each at most one batch size.

        Args:
            indices: Indices of samples of the plan.
            point: Number of the point.
        """
        items = [self._preparer.at(index, point) for index in indices]
        groups: dict[int, list[PreparedRow | FailedSample]] = {}
        for item in items:
            crops = item.prepared.selection.crops if isinstance(item, PreparedRow) else 0
            groups.setdefault(crops, []).append(item)
        return [
            self._collate(group[start : start + self._batch_size])
            for group in groups.values()
            for start in range(0, len(group), self._batch_size)
        ]

    @cached_property
    def _loader(self) -> SurvivingLoader:
        preparer, collate = self._preparer, self._collate
        return SurvivingLoader(preparer, self.batches, collate, self._num_workers)

    @cached_property
    def _collate(self) -> Collate:
        return Collate(self._source.inputs())

    @cached_property
    def _preparer(self) -> SamplePreparer:
        builder = self._source.inputs()
        return SamplePreparer(self.dataset, self.plan, self._preprocessing, builder)

    def on_before_batch_transfer(self, batch: EvaluationBatch, _index: int) -> EvaluationBatch:
        """End the run at the first unreadable image, if that is wanted.

        Raises:
            DataError: A sample failed and `on_error` is `raise`.
        """
        if self._on_error == "raise" and batch.failures:
            failed = batch.failures[0]
            raise _broken(self.dataset[failed.index], failed.reason)
        return batch

    def transfer_batch_to_device(
        self, batch: EvaluationBatch, device: torch.device, _index: int
    ) -> EvaluationBatch:
        """Move the model inputs."""
        return batch.to(device)


def _broken(sample: Sample, reason: str) -> DataError:
    return DataError(f"sample {sample.sample_id}: {reason}")
