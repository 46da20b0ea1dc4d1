"""The Lightning DataModule of an evaluation: tier-based preprocessing in worker processes."""

from __future__ import annotations

from collections.abc import Collection

import torch
from lightning import LightningDataModule

from tierexp.data.batch import EvaluationBatch
from tierexp.data.collate import Collate
from tierexp.data.loader import SurvivingLoader
from tierexp.data.plan import EvaluationPlan, divide, plan_evaluation
from tierexp.data.prepare import SamplePreparer
from tierexp.data.sample import OnError, QuestionDataset, Sample
from tierexp.errors import DataError
from tierexp.imaging.preprocessing import Preprocessing
from tierexp.models.protocol import ModelSource


class TierDataModule(LightningDataModule):
    """Samples cut into the crops that a tier selects, in batches of equal crop count.

    Args:
        dataset: The samples.
        source: The model they are prepared for: its tokenizer and mask order.
        preprocessing: How images become crops.
        batch_size: Most samples of a batch.
        num_workers: Worker processes; 0 prepares in the main process.
        on_error: What an unreadable image does: `skip` counts it as failed, `raise` ends the run.
        done: Samples that an earlier run has finished: they are left out of their batches, and the
            others are in the same batches as without.
        share: (which, of how many): of the batches that are left, the part that this process
            evaluates, the first being 0. Where nothing is left to it, it has one batch without
            samples: Lightning logs nothing of a pass without batches.

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
        share: tuple[int, int] = (0, 1),
    ) -> None:
        super().__init__()
        self.dataset = dataset
        self.plan: EvaluationPlan = plan_evaluation(dataset, preprocessing, batch_size)
        if on_error == "raise" and self.plan.unreadable:
            index, reason = next(iter(self.plan.unreadable.items()))
            raise _broken(dataset[index], reason)
        self._source = source
        self._preprocessing = preprocessing
        self._num_workers = num_workers
        self._on_error = on_error
        finished = set(done)
        rest = (tuple(index for index in batch if index not in finished) for batch in self.plan)
        left = [batch for batch in rest if batch]
        which, shares = share
        mine = divide([self.plan.weight(batch) for batch in left], shares)[which]
        self.batches = [left[place] for place in mine] or [()]

    def test_dataloader(self) -> SurvivingLoader:
        """Batches of type `EvaluationBatch`.

        Raises:
            MachineError: When iterated, worker processes are killed again and again.
        """
        tokenizer = self._source.tokenizer()
        preparer = SamplePreparer(
            self.dataset,
            self.plan,
            self._preprocessing,
            tokenizer,
            self._source.mask_order,
        )
        return SurvivingLoader(preparer, self.batches, Collate(tokenizer.pad_id), self._num_workers)

    def on_before_batch_transfer(self, batch: EvaluationBatch, _index: int) -> EvaluationBatch:
        """End the run at the first unreadable image, if that is wanted.

        Raises:
            DataError: A sample failed and `on_error` is `raise`.
        """
        if self._on_error == "raise" and batch.failures:
            raise _broken(batch.failures[0].sample, batch.failures[0].reason)
        return batch

    def transfer_batch_to_device(
        self, batch: EvaluationBatch, device: torch.device, _index: int
    ) -> EvaluationBatch:
        """Move the model inputs."""
        return batch.to(device)


def _broken(sample: Sample, reason: str) -> DataError:
    return DataError(f"sample {sample.sample_id}: {reason}")
