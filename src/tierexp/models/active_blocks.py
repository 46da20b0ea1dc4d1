"""Which transformer blocks of a decoder run: the third control knob.

In: how many, and by which policy. Out: their numbers, in the order they run. Knows nothing about
models; what a block matters is read from a file that `python block_importance.py` writes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from tierexp.errors import ConfigError, DataError

BlockPolicy = Literal["first", "last_skipped", "uniform", "importance"]
"""Which blocks stay when some are skipped:

`first`: the first ones. `last_skipped`: the first ones and the very last, so that what is skipped
are the deep blocks before it, which change the least ("The Unreasonable Ineffectiveness of the
Deeper Layers", 2024). `uniform`: evenly spaced ones, the first and the last among them.
`importance`: those with the highest scores, the earlier of two equal ones.
"""


def choose_blocks(
    num_blocks: int, num_active: int, policy: BlockPolicy, importance: Sequence[float] | None = None
) -> tuple[int, ...]:
    """The blocks that run.

    Args:
        num_blocks: Of the decoder.
        num_active: How many of them run, at least 1.
        policy: Which of them.
        importance: A score per block, for the policy of that name.

    Returns:
        Their numbers from 0, ascending.

    Raises:
        ValueError: No such number of blocks, or not one score per block.
    """
    if not 1 <= num_active <= num_blocks:
        raise ValueError(f"{num_active} of {num_blocks} blocks cannot run")
    match policy:
        case "first":
            return tuple(range(num_active))
        case "last_skipped":
            return (*range(num_active - 1), num_blocks - 1)
        case "uniform" if num_active == 1:
            return (0,)
        case "uniform":
            gaps, last = num_active - 1, num_blocks - 1
            # Rounded half up, in whole numbers: a tie is decided the same way everywhere.
            return tuple((2 * number * last + gaps) // (2 * gaps) for number in range(num_active))
        case "importance":
            if importance is None or len(importance) != num_blocks:
                raise ValueError(f"a score is needed for each of {num_blocks} blocks")
            ranked = sorted(range(num_blocks), key=lambda block: -importance[block])
            return tuple(sorted(ranked[:num_active]))


def read_importance(file: Path, num_blocks: int) -> tuple[float, ...]:
    """The scores of blocks from what `python block_importance.py` wrote.

    Args:
        file: JSON with a list of numbers, `block_importance`.
        num_blocks: Of the model they are to be used for.

    Raises:
        ConfigError: There is no such file, or it is of another number of blocks.
        DataError: It holds something else.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        allowed = f"a file that block_importance.py wrote ({error.strerror})"
        raise ConfigError("model.block_importance", str(file), allowed) from None
    except ValueError as error:
        raise DataError(f"{file} is not JSON: {error}") from None
    scores = content.get("block_importance") if isinstance(content, dict) else None
    if not isinstance(scores, list) or not all(
        isinstance(score, int | float) and not isinstance(score, bool) for score in scores
    ):
        raise DataError(f"{file} has no list of numbers called block_importance")
    if len(scores) != num_blocks:
        allowed = f"scores of {num_blocks} blocks, as the model has; the file has {len(scores)}"
        raise ConfigError("model.block_importance", str(file), allowed)
    return tuple(map(float, scores))
