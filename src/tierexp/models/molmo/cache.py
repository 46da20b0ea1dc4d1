"""Keys and values of the tokens a decoder has already seen, in memory taken once.

In: the keys and values of new tokens, block by block. Out: those of all tokens so far. Knows
nothing about masks or positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

import torch
from torch import Tensor

from tierexp.models.molmo.sizes import DecoderConfig


class KeyValueCache:
    """Room for `capacity` tokens of every block that runs.

    Args:
        config: Sizes of the decoder.
        batch_size: Sequences.
        capacity: Most tokens a sequence can have, prompt included.
        device: Where the decoder runs.
        dtype: Of its keys and values.
        blocks: The blocks that run; a skipped one takes no room.
    """

    def __init__(
        self,
        config: DecoderConfig,
        batch_size: int,
        capacity: int,
        device: torch.device,
        dtype: torch.dtype,
        blocks: Sequence[int],
    ) -> None:
        self._places = {block: place for place, block in enumerate(blocks)}
        shape = (len(self._places), batch_size, config.num_kv_heads, capacity, config.head_dim)
        self._keys = torch.empty(shape, device=device, dtype=dtype)
        self._values = torch.empty(shape, device=device, dtype=dtype)
        self._length = 0

    @property
    def num_bytes(self) -> int:
        """Memory taken."""
        return self._keys.nbytes + self._values.nbytes

    @property
    def length(self) -> int:
        """Tokens that every active block has seen."""
        return self._length

    def repeat(self, rows: Tensor, capacity: int) -> KeyValueCache:
        """The same tokens for other sequences.

        Args:
            rows: (B,) int64, which of these sequences each of the new ones continues.
            capacity: Most tokens a new sequence can have, those of this cache included.
        """
        repeated = copy(self)
        repeated._keys, repeated._values = (
            t.new_empty(t.shape[0], len(rows), t.shape[2], capacity, t.shape[4])
            for t in (self._keys, self._values)
        )
        for mine, new in ((self._keys, repeated._keys), (self._values, repeated._values)):
            # Block by block: what is gathered exists twice for a moment.
            for mine_of_block, new_of_block in zip(mine, new, strict=True):
                seen = mine_of_block[:, :, : self._length]
                new_of_block[:, :, : self._length] = seen.index_select(0, rows)
        return repeated

    def extend(self, block: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add the keys and values, (B, kv heads, T, D), of new tokens to those of a block.

        Returns:
            The block's keys and values, (B, kv heads, length + T, D), as views.
        """
        place, end = self._places[block], self._length + keys.shape[2]
        self._keys[place, :, :, self._length : end] = keys
        self._values[place, :, :, self._length : end] = values
        return self._keys[place, :, :, :end], self._values[place, :, :, :end]

    def advance(self, tokens: int) -> None:
        """Count `tokens` as seen, once all blocks have been extended by them."""
        self._length += tokens
