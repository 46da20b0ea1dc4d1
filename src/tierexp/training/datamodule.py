"""The Lightning DataModule of a training run: packed batches to learn from, and validation samples
prepared exactly as an evaluation prepares them, one loader per tier.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader, Sampler

from tierexp.data.batch import EvaluationBatch
from tierexp.data.datamodule import TierDataModule
from tierexp.data.loader import SurvivingLoader, start_method
from tierexp.training.batches import TrainingBatch, TrainingBatches, VisionBatch

Batch = VisionBatch | TrainingBatch | EvaluationBatch


class _StepsLeft(Sampler[int]):
    """The steps from `start` on. Its length is that of the whole run: a Lightning trainer that
    resumes counts the steps before as batches of this epoch, and would take a loader of what is
    left to have ended so many batches early.
    """

    def __init__(self, start: int, steps: int) -> None:
        self._start, self._steps = start, steps

    def __iter__(self) -> Iterator[int]:
        return iter(range(self._start, self._steps))

    def __len__(self) -> int:
        return self._steps


def _leave_interruption_to_the_parent(_worker: int) -> None:
    """A terminal tells every process of Ctrl-C; the step that is to be finished needs its batch."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _unchanged(batch: Any) -> Any:
    return batch


class TrainingDataModule(LightningDataModule):
    """Batches by step, continuing at the step a resumed run has reached.

    Args:
        batches: What to learn from.
        validation: By name, what to validate on.
        num_workers: Worker processes that make training batches; 0 makes them in the main process.
    """

    def __init__(
        self,
        batches: TrainingBatches,
        validation: Mapping[str, TierDataModule],
        num_workers: int,
    ) -> None:
        super().__init__()
        self._batches = batches
        self._validation = validation
        self._num_workers = num_workers

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches of type `VisionBatch`, then `TrainingBatch`."""
        start = self.trainer.global_step if self.trainer is not None else 0
        return DataLoader(
            self._batches,
            batch_size=None,
            sampler=_StepsLeft(start, len(self._batches)),
            collate_fn=_unchanged,
            num_workers=self._num_workers,
            worker_init_fn=_leave_interruption_to_the_parent,
            multiprocessing_context=start_method(self._num_workers),
        )

    def val_dataloader(self) -> Sequence[SurvivingLoader]:
        """One loader of `EvaluationBatch` per validation set."""
        return [module.test_dataloader() for module in self._validation.values()]

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, _index: int) -> Batch:
        """Move what the model takes."""
        return batch.to(device)
