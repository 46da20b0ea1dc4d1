"""A batch of prompts with images, as models of Molmo's kind read it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from tierexp.models.knobs.reduction.staying import staying
from tierexp.models.shared_memory import received, sent


@dataclass(frozen=True)
class ModelInputs:
    """A batch of prompts whose images all have the same number of views. Several prompts may be
    about one image, which is then there, and encoded, once.

    Args:
        input_ids: (B, T) int64, padded on the left.
        attention_mask: (B, T) bool, False on padding.
        pixels: (I, N, S, S, 3) uint8, or float32 in [0, 1] (exact resizing), of the N views of
            I <= B images; the global view is the first.
        patch_mask: (I, N, P) float32: the fraction of each patch's pixels that show the image,
            -1 in the row of a view without a mask.
        image_input_idx: (B, N, K) int64: the position in `input_ids` that each vision token is
            added to, -100 where it is dropped. Where a canvas is pooled as a whole, K is P:
            the position of the token that each patch is pooled into.
        image_index: (B,) int64: which of the images a prompt is about.
    """

    input_ids: Tensor
    attention_mask: Tensor
    pixels: Tensor
    patch_mask: Tensor
    image_input_idx: Tensor
    image_index: Tensor

    def __reduce__(self) -> tuple[Any, ...]:
        """For another process, through memory that both share."""
        return _received, (type(self), sent([getattr(self, each.name) for each in fields(self)]))

    def __len__(self) -> int:
        return len(self.input_ids)

    @property
    def views(self) -> int:
        """Crops of every image and its global view."""
        return int(self.pixels.shape[1])

    def to(self, device: torch.device, non_blocking: bool = False) -> ModelInputs:
        """The same batch on `device`."""
        moved = {
            field.name: getattr(self, field.name).to(device, non_blocking=non_blocking)
            for field in fields(self)
        }
        return ModelInputs(**moved)

    def select(self, rows: range) -> ModelInputs:
        """Consecutive prompts of the batch as a batch of their own: without the padding that only
        longer prompts needed, and with the images they are about.

        Args:
            rows: Rows of the batch, at least one, in steps of one.

        Returns:
            Views of these tensors, but for `image_input_idx` and `image_index`.
        """
        part = slice(rows.start, rows.stop)
        mask, positions, index = (
            tensor[part] for tensor in (self.attention_mask, self.image_input_idx, self.image_index)
        )
        padding = int(mask.any(dim=0).int().argmax())
        first = int(index.min())
        # Prompts about one image follow each other, so the images of some are consecutive, too.
        images = slice(first, int(index.max()) + 1)
        return ModelInputs(
            input_ids=self.input_ids[part, padding:],
            attention_mask=mask[:, padding:],
            pixels=self.pixels[images],
            patch_mask=self.patch_mask[images],
            image_input_idx=positions.where(positions < 0, positions - padding),
            image_index=index - first,
        )

    def pin_memory(self) -> ModelInputs:
        """The same batch in page-locked memory, as Lightning's data loaders ask for it."""
        return ModelInputs(
            **{field.name: getattr(self, field.name).pin_memory() for field in fields(self)}
        )


Reduction = Callable[[ModelInputs, "Tensor"], tuple[ModelInputs, "Tensor"]]
"""Prompts and the vision tokens (I, N, K, C) of their images to fewer of them: what a knob that
throws vision tokens away puts between encoder and decoder."""


def shortened(inputs: ModelInputs, stays: Tensor) -> ModelInputs:
    """Prompts of the tokens that stay, padded on the left; positions of images are not changed.

    Args:
        inputs: The whole prompts.
        stays: (B, T) bool.
    """
    left = staying(stays)
    ids = left.of(inputs.input_ids, inputs.input_ids[0, 0])
    return replace(inputs, input_ids=ids, attention_mask=left.real)


def _received(kind: type[ModelInputs], what: tuple[Any, ...]) -> ModelInputs:
    return kind(*received(what))
