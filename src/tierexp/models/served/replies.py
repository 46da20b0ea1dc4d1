"""What a server answers, and how it fails. Imports no client library."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tierexp.errors import MachineError, TierexpError


@dataclass(frozen=True)
class ChatReply:
    """One answer.

    Args:
        text: Text of the answer.
        prompt_tokens: Tokens that the server bills for the request; None where it does not say.
        completion_tokens: Tokens of the answer; None likewise.
        log_probabilities: Log-probabilities of the answer's tokens, natural logarithm; None where
            the server sends none.
        first_rivals: Log-probabilities of the likeliest tokens in the first one's place.
    """

    text: str
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    log_probabilities: tuple[float, ...] | None = None
    first_rivals: tuple[float, ...] = ()

    @property
    def mean_log_probability(self) -> float | None:
        """Confidence in the answer's tokens; None where the server sends none."""
        if not self.log_probabilities:
            return None
        mean = sum(self.log_probabilities) / len(self.log_probabilities)
        return mean if math.isfinite(mean) else None

    @property
    def first_margin(self) -> float | None:
        """Probability of the first token less that of its closest rival; None where the server does
        not send both.
        """
        if not self.log_probabilities or len(self.first_rivals) < 2:
            return None
        first, second = sorted(self.first_rivals, reverse=True)[:2]
        margin = math.exp(first) - math.exp(second)
        return margin if math.isfinite(margin) else None


class RefusedRequestError(TierexpError):
    """A request that this server does not take, in one line; another may be fine.

    Args:
        status: HTTP's number.
        reason: In the server's words.
    """

    def __init__(self, status: int, reason: str) -> None:
        self.status = status
        super().__init__(f"the server refuses the request ({status}: {reason})")


class FailedRequestError(TierexpError):
    """A request that this server took and did not answer, however often it was asked."""


class ServerGoneError(MachineError):
    """A server that cannot be reached, or that answers nothing any more."""
