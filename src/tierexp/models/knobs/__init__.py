"""The settings that every model read from a folder has, checked before its weights are read.

In: values of the group `model`. Out: the blocks that run, the precision. Imports no torch; what is
impossible is refused in one line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from tierexp.config.checks import choice, optional_whole_number, path
from tierexp.errors import ConfigError
from tierexp.models.active_blocks import BlockPolicy, choose_blocks, read_importance

if TYPE_CHECKING:
    import torch

Precision = Literal["auto", "float32", "bfloat16"]
"""Of weights and activations; `auto` is bfloat16 on a GPU and float32 elsewhere."""


def check_precision(precision: object) -> None:
    """A known precision.

    Raises:
        ConfigError: It is none.
    """
    choice("model.dtype", precision, get_args(Precision))


def torch_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """What a precision is on a device."""
    import torch

    automatic = torch.bfloat16 if device.type == "cuda" else torch.float32
    dtype: torch.dtype = automatic if precision == "auto" else getattr(torch, precision)
    return dtype


def check_top_k(top_k: int | None, num_experts: int | None) -> None:
    """A number of experts per token that a model has, or None for its own.

    Args:
        top_k: The setting.
        num_experts: Experts per block; None for a dense model.

    Raises:
        ConfigError: There are not so many, or none at all.
    """
    if top_k is None:
        return
    if num_experts is None:
        raise ConfigError("model.top_k", top_k, "only null, this model has no experts to choose")
    optional_whole_number("model.top_k", top_k, 1, num_experts)


def blocks_that_run(
    num_blocks: int, num_active: int | None, policy: BlockPolicy, importance: str | None
) -> tuple[int, ...]:
    """The numbers of the decoder blocks that run, ascending.

    Args:
        num_blocks: Of the decoder.
        num_active: `model.num_active_blocks`; None for all.
        policy: `model.block_policy`: which of them.
        importance: `model.block_importance`: the file with a score per block, for the policy of
            that name.

    Raises:
        ConfigError: A setting is impossible, or nothing reads it.
        DataError: The file holds something else.
    """
    optional_whole_number("model.num_active_blocks", num_active, 1, num_blocks)
    choice("model.block_policy", policy, get_args(BlockPolicy))
    scores = None
    if policy == "importance":
        if importance is None:
            allowed = "a file that block_importance.py wrote: the policy importance needs one"
            raise ConfigError("model.block_importance", None, allowed)
        scores = read_importance(path("model.block_importance", importance), num_blocks)
    elif importance is not None:
        allowed = "null: only model.block_policy=importance reads it"
        raise ConfigError("model.block_importance", importance, allowed)
    active = num_blocks if num_active is None else num_active
    return choose_blocks(num_blocks, active, policy, scores)
