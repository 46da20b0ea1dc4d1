"""Decoding in a cache of fixed size, recorded once as a CUDA graph and replayed for every token.

In: prompts that have been read. Out: what takes a step. Every step has the same shapes and its
place is a number on the device, so a GPU repeats what it did for the first token without being told
kernel by kernel: with one prompt, telling it takes longer than a step. On other devices the same
steps are taken without a graph. Costs the attention to room that is not filled yet.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple

import torch
from torch import Tensor

from tierexp.models.molmo.decoder import DecoderKnobs
from tierexp.models.molmo.model import Molmo
from tierexp.models.molmo.prefill import Prefilled

ROOM = 256
"""Capacities are multiples of this, so that prompts of about one length share a recording."""
KEPT = 4
"""Recordings that are kept, each with its cache."""
_WARMUP = 2
"""Steps before a recording, in which libraries take their working space."""


class FixedCache:
    """Keys and values of `capacity` tokens of every block that runs, as `KeyValueCache` hands them
    on; what is not filled yet is there, and has to be masked.

    Args:
        model: Whose decoder it serves.
        batch_size: Sequences.
        capacity: Tokens.
        blocks: The blocks that run.
        at: (1,) int64, on the decoder's device: where the next token goes.
    """

    def __init__(
        self, model: Molmo, batch_size: int, capacity: int, blocks: tuple[int, ...], at: Tensor
    ) -> None:
        config, weight = model.config.decoder, model.lm_head.weight
        shape = (batch_size, config.num_kv_heads, capacity, config.head_dim)
        # Zeros: whatever lay there is multiplied by no weight, and must not be NaN.
        self.keys, self.values = (
            {b: torch.zeros(shape, dtype=weight.dtype, device=weight.device) for b in blocks}
            for _ in range(2)
        )
        self._at = at

    def extend(self, block: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Put those of one token, (B, kv heads, 1, D), in its place; all, (B, kv heads, capacity,
        D), are given back.
        """
        for room, new in ((self.keys[block], keys), (self.values[block], values)):
            room.index_copy_(2, self._at, new)
        return self.keys[block], self.values[block]


class FixedDecoder:
    """Steps for batches of one size, with one setting of the knobs.

    Args:
        model: In the mode and precision it is to run in, on one device.
        batch_size: Sequences.
        capacity: Most tokens a sequence can have, prompt included.
        knobs: What of the decoder runs.
    """

    def __init__(self, model: Molmo, batch_size: int, capacity: int, knobs: DecoderKnobs) -> None:
        self._model, self._knobs = model, knobs
        device = model.lm_head.weight.device
        self._at = torch.zeros(1, dtype=torch.int64, device=device)
        self._token = torch.zeros(batch_size, 1, dtype=torch.int64, device=device)
        self._positions = torch.zeros_like(self._token)
        self._mask = torch.zeros(batch_size, 1, 1, capacity, dtype=torch.bool, device=device)
        self._cache = FixedCache(model, batch_size, capacity, knobs.active_blocks, self._at)
        self._logits = torch.empty(0, device=device)
        self._graph = self._record() if device.type == "cuda" else None

    def begin(self, prompts: Prefilled) -> None:
        """Take over prompts that have been read."""
        length = prompts.cache.length
        for block in self._knobs.active_blocks:
            keys, values = prompts.cache.of(block)
            self._cache.keys[block][:, :, :length] = keys
            self._cache.values[block][:, :, :length] = values
        self._mask.zero_()
        self._mask[..., :length] = True if prompts.mask is None else prompts.mask[:, None, None]
        self._positions.copy_(prompts.next_positions)
        self._at.fill_(length)

    def __call__(self, token: Tensor) -> Tensor:
        """See `Step`."""
        self._token.copy_(token.unsqueeze(1))
        if self._graph is None:
            self._advance()
            return self._logits
        self._graph.replay()
        # The next step writes over it.
        return self._logits.clone()

    def _advance(self) -> None:
        self._mask.index_fill_(3, self._at, True)
        logits = self._model.decode(
            self._token,
            attention_mask=self._mask,
            position_ids=self._positions,
            active_blocks=self._knobs.active_blocks,
            top_k=self._knobs.top_k,
            cache=self._cache,
        )
        self._logits = logits[:, -1]
        self._at += 1
        self._positions += 1

    def _record(self) -> torch.cuda.CUDAGraph:
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(_WARMUP):
                self._advance()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        # Of this thread alone: the data loader's own asks CUDA for pinned memory meanwhile, which
        # would make the recording void.
        recording: AbstractContextManager[object] = torch.cuda.graph(
            graph, capture_error_mode="thread_local"
        )
        with recording:
            self._advance()
        return graph


class _Kind(NamedTuple):
    batch_size: int
    capacity: int
    knobs: DecoderKnobs


class FixedDecoders:
    """Those of a model that were used last.

    Args:
        model: As of `FixedDecoder`.
    """

    def __init__(self, model: Molmo) -> None:
        self._model = model
        self._kept: OrderedDict[_Kind, FixedDecoder] = OrderedDict()

    def begin(
        self, prompts: Prefilled, new_tokens: int, knobs: DecoderKnobs
    ) -> Callable[[Tensor], Tensor] | None:
        """What takes the steps after some prompts; None where tokens weigh unequally or are seen by
        some of the blocks alone, which a cache that grows is for.

        Args:
            prompts: That have been read.
            new_tokens: New tokens of the longest answer.
            knobs: What of the decoder runs.
        """
        if prompts.key_bias is not None or prompts.late is not None:
            return None
        capacity = -(-(prompts.cache.length + new_tokens) // ROOM) * ROOM
        kind = _Kind(len(prompts.logits), capacity, knobs)
        decoder = self._kept.pop(kind, None)
        if decoder is None:
            while len(self._kept) >= KEPT:
                self._kept.popitem(last=False)
            decoder = FixedDecoder(self._model, *kind)
        self._kept[kind] = decoder
        decoder.begin(prompts)
        return decoder
