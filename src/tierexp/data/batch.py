"""What a data loader hands to the evaluation: model inputs, and what is known of every row.

Rows name their samples by place: whoever reads a batch has the data set, and worker processes need
not send its texts back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tierexp.imaging.measurements import OneImage
from tierexp.tiers.selection import Selection

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class PreparedSample:
    """One sample whose image has been tiled and cut into crops.

    Args:
        index: Its place in the data set.
        point: Number of the operating point that it was prepared for.
        image_size: (height, width) of the image as displayed, in pixels.
        selection: The tiling that was chosen for it.
        target_resolution: (height, width) of the tiling's windows, in pixels.
        measured: What the tiling does to the image.
    """

    index: int
    point: int
    image_size: tuple[int, int]
    selection: Selection
    target_resolution: tuple[int, int]
    measured: OneImage


@dataclass(frozen=True)
class FailedSample:
    """One sample whose image could not be read.

    Args:
        index: Its place in the data set.
        reason: Why, in one line.
    """

    index: int
    reason: str


@dataclass(frozen=True)
class EvaluationBatch:
    """Samples of one operating point and equal crop count, and those that failed on the way.

    Args:
        inputs: A `BatchInputs` of the model's family, whose row i belongs to `prepared[i]`; None
            when every sample failed.
        prepared: The samples of the batch.
        failures: Samples that are not in it because their image could not be read.
    """

    inputs: Any
    prepared: tuple[PreparedSample, ...]
    failures: tuple[FailedSample, ...]

    def to(self, device: torch.device) -> EvaluationBatch:
        """The same batch with its model inputs on `device`; what is recorded stays on the host."""
        inputs = None if self.inputs is None else self.inputs.to(device, non_blocking=True)
        return EvaluationBatch(inputs, self.prepared, self.failures)

    def pin_memory(self) -> EvaluationBatch:
        """The same batch in page-locked memory, as Lightning's data loaders ask for it."""
        inputs = None if self.inputs is None else self.inputs.pin_memory()
        return EvaluationBatch(inputs, self.prepared, self.failures)
