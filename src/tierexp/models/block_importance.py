"""How much every block of a decoder changes the direction of what it is given.

In: a model and batches of prompts. Out: a score per block. "ShortGPT: Layers in Large Language
Models are More Redundant Than You Expect" (2024) calls it block influence, equation 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from tierexp.models.protocol import MeasurableModel


class BlockImportance:
    """One minus the mean cosine similarity of a block's input and output, over all tokens of all
    prompts seen so far: vision and text alike, padding left out.

    Args:
        model: All its blocks are measured, whichever are set to run.
    """

    def __init__(self, model: MeasurableModel) -> None:
        self._model = model
        self._changes = [0.0] * len(model.decoder_blocks)
        self.num_tokens = 0
        """Tokens seen so far."""

    @property
    def scores(self) -> tuple[float, ...]:
        """Importance of every block, in [0, 2].

        Raises:
            ValueError: Nothing has been seen yet.
        """
        if not self.num_tokens:
            raise ValueError("block importance needs at least one prompt")
        return tuple(change / self.num_tokens for change in self._changes)

    def update(self, inputs: Any) -> None:
        """Run a batch of prompts through the whole model and add what its tokens show."""
        with self._watched(inputs.attention_mask):
            self._model.read(inputs)
        self.num_tokens += int(inputs.attention_mask.sum())

    @contextmanager
    def _watched(self, attention_mask: Tensor) -> Iterator[None]:
        handles = [
            block.register_forward_hook(partial(self._add, number, attention_mask))
            for number, block in enumerate(self._model.decoder_blocks)
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _add(
        self,
        number: int,
        seen: Tensor,
        _block: nn.Module,
        arguments: tuple[Any, ...],
        after: Tensor,
    ) -> None:
        before: Tensor = arguments[0]  # (B, T, C)
        similarity = cosine_similarity(before.float(), after.float(), dim=-1)  # (B, T)
        self._changes[number] += float((1 - similarity)[seen].double().sum())
