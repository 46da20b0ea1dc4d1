"""Which transformer blocks of a decoder run: the knob of its depth.

In: how many, and by which policy. Out: their numbers, in the order they run. What a block matters
is read from a file that `python block_importance.py` writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

from tierexp.config.checks import choice, optional_whole_number, path
from tierexp.errors import ConfigError, DataError
from tierexp.errors.json_text import parse_json
from tierexp.models.knobs.knob import Knob, ModelFacts, Undo

BlockPolicy = Literal["first", "last_skipped", "uniform", "importance"]
"""Which blocks stay when some are skipped:

`first`: the first ones. `last_skipped`: the first ones and the very last, so that what is skipped
are the deep blocks before it, which change the least ("The Unreasonable Ineffectiveness of the
Deeper Layers", 2024). `uniform`: evenly spaced ones, the first and the last among them.
`importance`: those with the highest scores, the earlier of two equal ones.
"""


@dataclass(frozen=True)
class ActiveBlocks(Knob):
    """How many blocks run, and which.

    Args:
        num_active_blocks: How many; None for all.
        block_policy: Which of them, where some are skipped.
        block_importance: The file with a score per block, for the policy `importance`.
    """

    name: ClassVar[str] = "num_active_blocks"
    num_active_blocks: int | None = None
    block_policy: BlockPolicy = "last_skipped"
    block_importance: str | None = None

    def check(self, facts: ModelFacts) -> None:
        """See `Knob`; also a `DataError` where the file with scores holds something else."""
        if facts.num_blocks is not None:
            self.blocks(facts.num_blocks)
        elif self != ActiveBlocks():
            allowed = "only null, this model's decoder is no stack of blocks that can be skipped"
            raise ConfigError("model.num_active_blocks", self.num_active_blocks, allowed)

    def value(self, facts: ModelFacts) -> int | None:
        """The number of blocks that run; None where the decoder is no stack of them."""
        return facts.num_blocks if self.num_active_blocks is None else self.num_active_blocks

    def apply(self, model: Any, facts: ModelFacts) -> Undo | None:
        """Tell `model.run_blocks`."""
        if facts.num_blocks is None:
            return None
        before = tuple(model.active_blocks)
        model.run_blocks(self.blocks(facts.num_blocks))
        return lambda: model.run_blocks(before)

    def fingerprint(self, facts: ModelFacts) -> str:
        """The numbers of the blocks: a file of scores may change."""
        return "" if facts.num_blocks is None else repr(self.blocks(facts.num_blocks))

    def blocks(self, num_blocks: int) -> tuple[int, ...]:
        """The numbers of the blocks that run, ascending.

        Args:
            num_blocks: Num blocks of the decoder.

        Raises:
            ConfigError: A setting is impossible, or nothing reads it.
            DataError: The file holds something else.
        """
        count, policy, importance = (
            self.num_active_blocks,
            self.block_policy,
            self.block_importance,
        )
        optional_whole_number("model.num_active_blocks", count, 1, num_blocks)
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
        return choose_blocks(num_blocks, num_blocks if count is None else count, policy, scores)


def choose_blocks(
    num_blocks: int, num_active: int, policy: BlockPolicy, importance: Sequence[float] | None = None
) -> tuple[int, ...]:
    """The blocks that run.

    Args:
        num_blocks: Num blocks of the decoder.
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
        num_blocks: Num blocks of the model they are to be used for.

    Raises:
        ConfigError: There is no such file, or it is of another number of blocks.
        DataError: It holds something else.
    """
    try:
        content = parse_json(file.read_text(encoding="utf-8"))
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
