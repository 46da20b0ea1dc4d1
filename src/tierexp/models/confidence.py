"""How sure a model is of a greedy answer, and who wants to know.

In: the logits that every token of an answer was chosen from. Out: two numbers per answer. Watching
changes no answer: the logits are read, never written.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tierexp.errors import TierexpError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Confidence:
    """How sure a model was of one answer.

    Args:
        mean_log_probability: Mean log-probability of the answer's tokens, natural logarithm, at
            most 0; the token that ends the answer counts, as the model chose it too. None where it
            is not finite.
        first_margin: Probability of the first token less that of its closest rival, in [0, 1].
    """

    mean_log_probability: float | None
    first_margin: float | None


@dataclass(frozen=True)
class AnswerFacts:
    """What is known of one answer beside its text.

    Args:
        confidence: How sure the model is of it.
        billed_tokens: What a server bills for the image; None where nobody does.
        failure: Why there is no answer; None where there is one.
    """

    confidence: Confidence = Confidence(None, None)
    billed_tokens: int | None = None
    failure: str | None = None


class UnansweredError(TierexpError):
    """One prompt that a model could not answer, in one line; others may be fine."""


class AnswerObserver(Protocol):
    """Whoever wants to know how a model chooses its tokens."""

    def chosen(self, logits: Tensor, tokens: Tensor, going_on: Tensor | None) -> None:
        """Told of every step of decoding, in order.

        Args:
            logits: (B, vocab_size), any floating-point type.
            tokens: (B,) int64, chosen from them.
            going_on: (B,) bool, False in rows whose answer has ended before; None: all go on.
        """

    def answered(self, facts: Sequence[AnswerFacts]) -> None:
        """Told by a model that chooses its tokens elsewhere, once, of every row.

        Args:
            facts: B of them.
        """

    def of_parts(self, parts: Sequence[range]) -> Sequence[AnswerObserver]:
        """Who is told instead, of the rows of each part, where parts are answered side by side.

        Args:
            parts: Of the batch, all rows in their order.
        """


class Unobserved:
    """Nobody does."""

    def chosen(self, logits: Tensor, tokens: Tensor, going_on: Tensor | None) -> None:
        """Nothing happens."""

    def answered(self, facts: Sequence[AnswerFacts]) -> None:
        """Nothing happens."""

    def of_parts(self, parts: Sequence[range]) -> Sequence[AnswerObserver]:
        """Nobody either."""
        return [self] * len(parts)


UNOBSERVED = Unobserved()


class ConfidenceMeter:
    """An `AnswerObserver` that adds up log-probabilities; one serves one batch."""

    def __init__(self) -> None:
        self._sums: Tensor | None = None  # (B,) float64
        self._counts: Tensor | None = None  # (B,) int64
        self._margins: Tensor | None = None  # (B,) float64
        self._told: Sequence[AnswerFacts] = ()
        self._parts: Sequence[ConfidenceMeter] = ()

    def chosen(self, logits: Tensor, tokens: Tensor, going_on: Tensor | None) -> None:
        """See `AnswerObserver`."""
        log_probabilities = logits.double().log_softmax(dim=-1)
        of_tokens = log_probabilities.gather(1, tokens[:, None])[:, 0]
        if self._sums is None or self._counts is None:
            first, second = log_probabilities.topk(2, dim=-1).values.exp().unbind(dim=-1)
            self._margins = first - second
            self._sums = of_tokens
            self._counts = tokens.new_ones(len(tokens))
            return
        if going_on is not None:
            of_tokens = of_tokens.where(going_on, of_tokens.new_zeros(()))
        self._sums = self._sums + of_tokens
        self._counts = self._counts + (1 if going_on is None else going_on.long())

    def answered(self, facts: Sequence[AnswerFacts]) -> None:
        """See `AnswerObserver`."""
        self._told = facts

    def of_parts(self, parts: Sequence[range]) -> Sequence[ConfidenceMeter]:
        """See `AnswerObserver`."""
        self._parts = [ConfidenceMeter() for _ in parts]
        return self._parts

    def facts(self, rows: int) -> Sequence[AnswerFacts]:
        """How sure the model was of every row of the batch.

        Args:
            rows: Rows of the batch.
        """
        if self._told:
            return self._told
        known = self.answers or [Confidence(None, None)] * rows
        return [AnswerFacts(confidence) for confidence in known]

    @property
    def answers(self) -> list[Confidence] | None:
        """Confidences of every row of the batch; None where the model told nothing."""
        if self._parts:
            of_parts = [part.answers for part in self._parts]
            return [answer for answers in of_parts for answer in answers or ()]
        if self._sums is None or self._counts is None or self._margins is None:
            return None
        means = (self._sums / self._counts).tolist()
        return [
            Confidence(_finite(mean), _finite(margin))
            for mean, margin in zip(means, self._margins.tolist(), strict=True)
        ]


def _finite(number: float) -> float | None:
    """None for what JSON cannot hold: logits of weights that are not numbers."""
    return number if math.isfinite(number) else None
