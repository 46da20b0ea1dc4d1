"""The stages of answering one prompt, and who times them. Imports no torch."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal, Protocol

Stage = Literal["vision", "prefill", "decode"]
"""`vision`: crops to vision tokens. `prefill`: the prompt, up to the answer's first token.
`decode`: the tokens after that, one at a time."""


class StageClock(Protocol):
    """Whoever wants to know how long stages take."""

    def stage(self, name: Stage) -> AbstractContextManager[object]:
        """Enter to start a stage's clock, leave to stop it."""

    def restart(self) -> None:
        """What was timed so far does not count: the answer is asked for anew."""

    def generated(self, tokens: int) -> None:
        """Told by a model whose answers are not rows of tokens how many an answer has."""


class Untimed:
    """Nobody does."""

    def stage(self, name: Stage) -> AbstractContextManager[None]:  # noqa: ARG002
        """Nothing happens."""
        return nullcontext()

    def restart(self) -> None:
        """Nothing happens."""

    def generated(self, tokens: int) -> None:
        """Nothing happens."""


UNTIMED = Untimed()


@dataclass(frozen=True)
class StageFlops:
    """Estimated floating-point operations; a multiplication and its addition are two. None where
    nobody knows how a stage computes.

    Args:
        vision: Operations of encoding a prompt's crops.
        prefill: Operations of reading the prompt.
        decode: Operations of the tokens after the answer's first.
    """

    vision: int | None
    prefill: int | None
    decode: int | None

    def with_extra(self, vision: int = 0, prefill: int = 0) -> StageFlops:
        """The same with more operations in the stages that are known."""
        return StageFlops(
            None if self.vision is None else self.vision + vision,
            None if self.prefill is None else self.prefill + prefill,
            self.decode,
        )
