"""Answers from a server, as the rest of the project wants them.

In: batches of images and questions. Out: texts as rows of numbers, and what the server says of
them. Requests of a batch run side by side, up to a limit; a sample that is timed is alone and
streamed. A `VisionLanguageModel` without weights.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tierexp.errors import ConfigError
from tierexp.models.confidence import (
    UNOBSERVED,
    AnswerFacts,
    AnswerObserver,
    Confidence,
    UnansweredError,
)
from tierexp.models.served.client import ChatClient, ChatRequest
from tierexp.models.served.inputs import ServedInputs, ServedRow
from tierexp.models.served.probe import TEMPLATE_MARKS, ServerFindings, agrees, merged
from tierexp.models.served.replies import (
    ChatReply,
    FailedRequestError,
    RefusedRequestError,
    ServerGoneError,
)
from tierexp.models.served.text_ids import text_ids
from tierexp.models.stages import UNTIMED, StageClock

if TYPE_CHECKING:
    from torch import Tensor

_log = logging.getLogger(__name__)

_PATIENCE = 5
"""Questions in a row that a server may fail to answer before it counts as gone."""


class ServedModel:
    """A model on a server.

    Args:
        client: Client of the server.
        findings: What it does.
        concurrency: Most requests at a time.
        body: Fields that every request has.
    """

    def __init__(
        self,
        client: ChatClient,
        findings: ServerFindings,
        concurrency: int,
        body: Mapping[str, Any],
    ) -> None:
        self._client = client
        self.findings = findings
        self._body = body
        self._pool = ThreadPoolExecutor(concurrency, "tierexp-served")
        self._lock = threading.Lock()
        self._text_tokens: dict[str, int | None] = {}
        """What a question costs without an image, by question."""
        self._failed_in_a_row = 0
        self._has_differed = False

    @property
    def facts(self) -> Mapping[str, Any]:
        """What results keep of the server: its findings."""
        return asdict(self.findings)

    @property
    def tells_confidence(self) -> bool:
        """Whether the server sends log-probabilities."""
        return self.findings.log_probabilities

    def generate(
        self,
        inputs: ServedInputs,
        max_new_tokens: int,
        *,
        clock: StageClock = UNTIMED,
        fixed_length: bool = False,
        observer: AnswerObserver = UNOBSERVED,
    ) -> Tensor:
        """Answers as rows of code points, see `VisionLanguageModel`. What the server says of an
        answer, or why there is none, the observer is told.

        Raises:
            UnansweredError: The one sample that is timed is not answered.
            ServerGoneError: Nobody answers any more.
            ConfigError: A length is fixed, the server does not take the key, or a tier needs
                settings that do not reach its processor.
        """
        if fixed_length:
            allowed = "null with a served model: the protocol has no fixed length"
            raise ConfigError("latency.output_tokens", max_new_tokens, allowed)
        if clock is not UNTIMED:
            replies: list[ChatReply | str] = [self._timed(inputs.rows[0], max_new_tokens, clock)]
        else:
            asked = [self._pool.submit(self._answer, row, max_new_tokens) for row in inputs.rows]
            try:
                replies = [future.result() for future in asked]
            except BaseException:
                for future in asked:
                    future.cancel()
                raise
        if observer is not UNOBSERVED:
            observer.answered(self._facts(inputs.rows, replies))
        return text_ids(["" if isinstance(reply, str) else reply.text for reply in replies])

    def stage_flops(self, inputs: ServedInputs, new_tokens: int) -> None:
        """Nobody knows."""
        del inputs, new_tokens

    def before_timing(self, inputs: ServedInputs) -> None:
        """Find out what the questions cost without their images, so that nobody waits for it."""
        if not self.findings.streams_counts:
            allowed = "off with this server, which does not count the tokens of streamed answers"
            raise ConfigError("latency", "on", allowed)
        self._text_costs(inputs.rows)

    def _timed(self, row: ServedRow, max_new_tokens: int, clock: StageClock) -> ChatReply:
        try:
            reply = self._client.stream(self._request(row, max_new_tokens, sure=False), clock)
        except (RefusedRequestError, FailedRequestError) as error:
            raise UnansweredError(str(error)) from None
        if reply.completion_tokens is None:
            raise UnansweredError("the server does not say how many tokens it has streamed")
        clock.generated(reply.completion_tokens)
        return reply

    def _answer(self, row: ServedRow, max_new_tokens: int) -> ChatReply | str:
        """The answer, or why there is none."""
        sure = self.findings.log_probabilities
        try:
            reply = self._client.ask(self._request(row, max_new_tokens, sure=sure))
        except RefusedRequestError as error:
            return str(error)
        except FailedRequestError as error:
            with self._lock:
                self._failed_in_a_row += 1
                gone = self._failed_in_a_row >= _PATIENCE
            if gone:
                reason = f"{error}; {_PATIENCE} questions in a row have no answer"
                raise ServerGoneError(f"{reason}: resume=true goes on") from None
            return str(error)
        with self._lock:
            self._failed_in_a_row = 0
        return reply

    def _request(self, row: ServedRow, max_new_tokens: int, sure: bool) -> ChatRequest:
        body = dict(self._body)
        if row.settings:
            channel = self.findings.channel
            if channel is None:
                settings = dict(row.settings)
                allowed = f"one without settings of the processor, {settings}, on this server"
                raise ConfigError("tier", "this tier", allowed)
            body = merged(body, {channel: dict(row.settings)})
        return ChatRequest(
            row.question, row.file, max_new_tokens, log_probabilities=sure, body=body
        )

    def _facts(
        self, rows: Sequence[ServedRow], replies: Sequence[ChatReply | str]
    ) -> list[AnswerFacts]:
        costs = self._text_costs(
            [row for row, reply in zip(rows, replies, strict=True) if isinstance(reply, ChatReply)]
        )
        facts = []
        for row, reply in zip(rows, replies, strict=True):
            if isinstance(reply, str):
                facts.append(AnswerFacts(failure=reply))
                continue
            billed = _less(reply.prompt_tokens, costs[row.question])
            self._compare(row, billed)
            sure = Confidence(reply.mean_log_probability, reply.first_margin)
            facts.append(AnswerFacts(sure, billed))
        return facts

    def _compare(self, row: ServedRow, billed: int | None) -> None:
        """Say so, once in a run, where a server bills something else than the plan."""
        if billed is None or self._has_differed:
            return
        if agrees(billed, row.vision_tokens, row.marks):
            return
        self._has_differed = True
        _log.warning(
            "%s bills %d tokens for an image of %d by the plan, and at most %d around them; what "
            "it bills for the others is in the results",
            self._client.model, billed, row.vision_tokens, row.marks + TEMPLATE_MARKS,
        )  # fmt: skip

    def _text_costs(self, rows: Sequence[ServedRow]) -> Mapping[str, int | None]:
        """What questions cost without an image, each asked once in a run."""
        if self.findings.counts_tokens:
            new = {row.question for row in rows} - self._text_tokens.keys()
            costs = self._pool.map(self._text_cost, new)
            self._text_tokens |= dict(zip(new, costs, strict=True))
            return self._text_tokens
        return dict.fromkeys((row.question for row in rows), None)

    def _text_cost(self, question: str) -> int | None:
        try:
            return self._client.ask(ChatRequest(question, None, 1, body=self._body)).prompt_tokens
        except (RefusedRequestError, FailedRequestError) as error:
            _log.warning("what is billed for an image is not known: %s", error)
            return None


def _less(whole: int | None, part: int | None) -> int | None:
    return None if whole is None or part is None else whole - part
