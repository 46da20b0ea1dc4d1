"""Counting operations instead of time, by torch's own counter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from tierexp.models.stages import Stage


def grouped_flops(tokens: Any, weights: Any, *_: Any, **__: Any) -> int:
    """Of a grouped product: every token meets one matrix."""
    return int(2 * tokens[0] * tokens[1] * weights[-1])


def attention_flops(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    """As torch counts it on GPUs."""
    return int(sdpa_flop_count(query, key, value))


UNCOUNTED = {
    torch.ops.aten._grouped_mm: grouped_flops,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: attention_flops,
}
"""What torch 2.13's counter does not know."""


class Counter:
    """A `StageClock` that counts operations instead of time."""

    def __init__(self) -> None:
        self.flops: dict[Stage, int] = {}

    @contextmanager
    def stage(self, name: Stage) -> Iterator[None]:
        with FlopCounterMode(display=False, custom_mapping=UNCOUNTED) as counter:
            yield
        self.flops[name] = self.flops.get(name, 0) + counter.get_total_flops()
