"""Keys and values of the tokens a decoder has already seen, in memory taken once.

In: the keys and values of new tokens, block by block. Out: those of all tokens so far. Knows
nothing about masks or positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Protocol

import torch
from torch import Tensor

from tierexp.models.molmo.sizes import DecoderConfig


class BlockCache(Protocol):
    """What a block asks of a cache."""

    def extend(self, block: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add those of new tokens, (B, kv heads, T, D); all that the block's queries may see,
        (B, kv heads, K, D), are given back.
        """


class KeyValueCache:
    """Room for `capacity` tokens of every block that runs.

    Args:
        config: Sizes of the decoder.
        batch_size: Sequences.
        capacity: Most tokens a sequence can have, prompt included.
        devices: Where each of the blocks that run is.
        dtype: Dtype of its keys and values.
        blocks: The blocks that run; a skipped one takes no room.
    """

    def __init__(
        self,
        config: DecoderConfig,
        batch_size: int,
        capacity: int,
        devices: Sequence[torch.device],
        dtype: torch.dtype,
        blocks: Sequence[int],
    ) -> None:
        self._places = {block: place for place, block in enumerate(blocks)}
        shape = (batch_size, config.num_kv_heads, capacity, config.head_dim)
        self._keys, self._values = (
            [
                torch.empty(shape, device=device, dtype=dtype)
                for _, device in zip(blocks, devices, strict=True)
            ]
            for _ in range(2)
        )
        self._lengths = [0] * len(blocks)

    @property
    def num_bytes(self) -> int:
        """Memory taken."""
        return sum(tensor.nbytes for tensor in (*self._keys, *self._values))

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the keys and values."""
        return self._keys[0].dtype

    @property
    def length(self) -> int:
        """Tokens that the first of the blocks has seen; of tokens that leave on the way (`fastv`)
        later blocks see fewer.
        """
        return self._lengths[0]

    @property
    def lengths(self) -> tuple[int, ...]:
        """Tokens that each of the blocks has seen, in their order."""
        return tuple(self._lengths)

    def of(self, block: int) -> tuple[Tensor, Tensor]:
        """The keys and values of a block's tokens so far, (B, kv heads, length, D), as views."""
        place = self._places[block]
        keys, values = self._keys[place], self._values[place]
        return keys[:, :, : self._lengths[place]], values[:, :, : self._lengths[place]]

    def repeat(self, rows: Tensor, capacity: int) -> KeyValueCache:
        """The same tokens for other sequences.

        Args:
            rows: (B,) int64, which of these sequences each of the new ones continues.
            capacity: Most tokens a new sequence can have, those of this cache included.
        """
        repeated = copy(self)
        repeated._lengths = [*self._lengths]
        # Block by block: what is gathered exists twice for a moment.
        repeated._keys, repeated._values = (
            [
                self._repeated(tensor, length, rows, capacity)
                for tensor, length in zip(tensors, self._lengths, strict=True)
            ]
            for tensors in (self._keys, self._values)
        )
        return repeated

    @staticmethod
    def _repeated(tensor: Tensor, length: int, rows: Tensor, capacity: int) -> Tensor:
        larger = tensor.new_empty(len(rows), tensor.shape[1], capacity, tensor.shape[3])
        larger[:, :, :length] = tensor[:, :, :length].index_select(0, rows.to(tensor.device))
        return larger

    def row(self, number: int, padding: int) -> KeyValueCache:
        """One sequence's part of an empty cache, behind so many tokens of padding: a cache of its
        own in the same memory, which `count` makes known to this one.
        """
        part = copy(self)
        part._lengths = [0] * len(self._lengths)
        for tensor in (*self._keys, *self._values):
            # Nobody looks at padding, but its values are multiplied by nothing: no NaN may be left.
            tensor[number, :, :padding] = 0
        part._keys, part._values = (
            [tensor[number : number + 1, :, padding:] for tensor in tensors]
            for tensors in (self._keys, self._values)
        )
        return part

    def count(self, length: int) -> None:
        """So many tokens of every sequence, padding included, have been written."""
        self._lengths = [length] * len(self._lengths)

    def beside(self, other: KeyValueCache) -> KeyValueCache:
        """The blocks of this cache, then those of another, of the same sequences."""
        both = copy(self)
        shifted = {block: place + len(self._keys) for block, place in other._places.items()}
        both._places = self._places | shifted
        both._keys = self._keys + other._keys
        both._values = self._values + other._values
        both._lengths = self._lengths + other._lengths
        return both

    def extend(self, block: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add the keys and values, (B, kv heads, T, D), of new tokens to those of a block.

        Returns:
            The block's keys and values, (B, kv heads, length + T, D), as views.
        """
        place = self._places[block]
        start = self._lengths[place]
        end = self._lengths[place] = start + keys.shape[2]
        self._keys[place][:, :, start:end] = keys
        self._values[place][:, :, start:end] = values
        return self._keys[place][:, :, :end], self._values[place][:, :, :end]
