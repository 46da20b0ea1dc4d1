"""One request to a server that speaks the OpenAI chat protocol.

In: a question, an image as PNG, limits. Out: a `ChatReply`, or one of three failures: the request
is refused, it fails however often it is repeated, or nobody is there. The `openai` package speaks
the protocol, waits, and repeats what is worth repeating. The key comes from the environment
variable OPENAI_API_KEY and goes nowhere else. Knows nothing of tiers.
"""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, NoReturn

import httpx2
import openai
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tierexp.config.credentials import HIDDEN, without_credentials
from tierexp.errors import ConfigError
from tierexp.errors.machine import first_line
from tierexp.models.served.replies import (
    ChatReply,
    FailedRequestError,
    RefusedRequestError,
    ServerGoneError,
)
from tierexp.models.stages import UNTIMED, StageClock

KEY = "OPENAI_API_KEY"
"""The environment variable that holds the server's key; servers of one's own need none."""

_NO_KEY = "none"
"""The package insists on one."""


@dataclass(frozen=True)
class ChatRequest:
    """What is asked.

    Args:
        question: The text, which follows the image.
        image: PNG; None for a question without one.
        max_new_tokens: The longest answer.
        temperature: 0 for the likeliest token every time.
        log_probabilities: Whether to ask for those of the answer's tokens.
        body: Further fields, as this server takes them.
    """

    question: str
    image: bytes | None
    max_new_tokens: int
    temperature: float = 0.0
    log_probabilities: bool = False
    body: Mapping[str, Any] = field(default_factory=dict)

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of the package's call, but for the model."""
        content: list[dict[str, Any]] = [{"type": "text", "text": self.question}]
        if self.image is not None:
            url = "data:image/png;base64," + base64.b64encode(self.image).decode("ascii")
            content.insert(0, {"type": "image_url", "image_url": {"url": url}})
        asked: dict[str, Any] = {
            "messages": [{"role": "user", "content": content}],
            "temperature": self.temperature,
            "max_completion_tokens": self.max_new_tokens,
        }
        if self.log_probabilities:
            asked |= {"logprobs": True, "top_logprobs": 2}
        if self.body:
            asked["extra_body"] = dict(self.body)
        return asked


class ChatClient:
    """Asks one model of one server. Threads may share it.

    Args:
        base_url: Up to `/v1`.
        model: As the server calls it.
        timeout: Seconds after which a request counts as failed.
        max_retries: How often a request that failed, or that the server had no time for (429), is
            repeated, after longer and longer pauses.
    """

    def __init__(self, base_url: str, model: str, timeout: float, max_retries: int) -> None:
        self.base_url = base_url
        self.model = model
        self._timeout = timeout
        self._max_retries = max_retries
        self._client = openai.OpenAI(
            base_url=base_url,
            api_key=os.environ.get(KEY) or _NO_KEY,
            timeout=timeout,
            max_retries=max_retries,
        )

    def ask(self, request: ChatRequest) -> ChatReply:
        """The answer.

        Raises:
            RefusedRequestError: The server does not take the request.
            FailedRequestError: It does, and fails, or what comes is no answer.
            ServerGoneError: Nobody is there.
            ConfigError: The server does not take the key.
        """
        return self._guarded(lambda: self._complete(request))

    def stream(self, request: ChatRequest, clock: StageClock = UNTIMED) -> ChatReply:
        """The answer, token by token: `prefill` is the time to the first one, the vision encoder's
        and the network's included, `decode` the time of the others.

        Args:
            request: That is asked.
            clock: Is told when a stage begins and ends, and that it starts anew where a request
                failed and is repeated.

        Raises:
            RefusedRequestError: See `ask`, as for the others.
        """
        for attempt in range(self._max_retries):
            try:
                return self._guarded(lambda: self._stream(request, clock))
            except FailedRequestError:
                time.sleep(min(0.5 * 2**attempt, 8.0))
                clock.restart()
        return self._guarded(lambda: self._stream(request, clock))

    def models(self) -> list[str]:
        """What the server calls its models; none where it does not tell."""
        try:
            return [str(model.id) for model in self._client.models.list().data or ()]
        except (openai.OpenAIError, httpx2.HTTPError, AttributeError, TypeError):
            return []

    def _complete(self, request: ChatRequest) -> ChatReply:
        reply: object = self._client.chat.completions.create(model=self.model, **request.arguments)
        if not isinstance(reply, ChatCompletion) or not reply.choices:
            raise FailedRequestError("what the server sends is no chat completion")
        choice, usage = reply.choices[0], reply.usage
        if choice.message is None:
            raise FailedRequestError("the server sends a completion without a message")
        return ChatReply(
            choice.message.content or "",
            None if usage is None else usage.prompt_tokens,
            None if usage is None else usage.completion_tokens,
            *_log_probabilities(choice.logprobs),
        )

    def _stream(self, request: ChatRequest, clock: StageClock) -> ChatReply:
        pieces: list[str] = []
        usage = None
        with ExitStack() as first, ExitStack() as later:
            first.enter_context(clock.stage("prefill"))
            # Repeated by `stream`, where the clock can be told.
            chunks = self._client.with_options(max_retries=0).chat.completions.create(
                model=self.model,
                stream=True,
                stream_options={"include_usage": True},
                **request.arguments,
            )
            for chunk in chunks:
                if not isinstance(chunk, ChatCompletionChunk):
                    raise FailedRequestError("what the server streams is no chat completion")
                usage = chunk.usage or usage
                piece = chunk.choices[0].delta.content if chunk.choices else None
                if piece and not pieces:
                    first.close()
                    later.enter_context(clock.stage("decode"))
                if piece:
                    pieces.append(piece)
                if chunk.choices and chunk.choices[0].finish_reason is not None:
                    first.close()
                    later.close()  # what follows are figures
        return ChatReply(
            "".join(pieces),
            None if usage is None else usage.prompt_tokens,
            None if usage is None else usage.completion_tokens,
        )

    def _guarded(self, ask: Callable[[], ChatReply]) -> ChatReply:
        """The package's failures as this module's."""
        try:
            return ask()
        except openai.APITimeoutError:
            raise FailedRequestError(
                f"no answer within {self._timeout:g} s, {self._times}"
            ) from None
        except openai.APIConnectionError as error:
            if _was_there(error):
                raise FailedRequestError(f"the server cuts the connection, {self._times}") from None
            reason = first_line(error.__cause__ or error)
            raise ServerGoneError(
                f"nobody answers at {self.base_url} ({reason}), {self._times}; when the server is "
                "there, resume=true goes on"
            ) from None
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            allowed = f"the key that {self.base_url} knows ({error.status_code}: {_reason(error)})"
            raise ConfigError(KEY, HIDDEN, allowed) from None
        except openai.APIStatusError as error:
            self._raise_status(error)
        except httpx2.TransportError:
            raise FailedRequestError("the server cuts the connection in an answer") from None
        except (openai.OpenAIError, httpx2.HTTPError, ValueError) as error:
            reason = without_credentials(first_line(error))
            raise FailedRequestError(f"the server's answer cannot be read ({reason})") from None

    def _raise_status(self, error: openai.APIStatusError) -> NoReturn:
        """Raise what an answer with a number from 400 on comes to."""
        if error.status_code in (408, 409, 429) or error.status_code >= 500:
            reason = f"the server fails ({error.status_code}: {_reason(error)}), {self._times}"
            raise FailedRequestError(reason) from None
        raise RefusedRequestError(error.status_code, _reason(error)) from None

    @property
    def _times(self) -> str:
        return f"asked {self._max_retries + 1} times" if self._max_retries else "asked once"


def _log_probabilities(sent: Any) -> tuple[tuple[float, ...] | None, tuple[float, ...]]:
    """Those of the tokens, and those of the likeliest in the first one's place."""
    tokens = getattr(sent, "content", None)
    if not tokens:
        return None, ()
    rivals = tuple(float(token.logprob) for token in tokens[0].top_logprobs or ())
    return tuple(float(token.logprob) for token in tokens), rivals


def _was_there(error: openai.APIConnectionError) -> bool:
    """Whether a connection was made, and then lost."""
    cause = error.__cause__
    return isinstance(cause, httpx2.TransportError) and not isinstance(cause, httpx2.ConnectError)


def _reason(error: openai.APIStatusError) -> str:
    """The server's own words, in one line."""
    body: Any = error.body
    for key in ("error", "message", "detail"):
        if isinstance(body, Mapping) and key in body:
            body = body[key]
    text = str(body if body else error.message)
    return without_credentials(" ".join(text.split()))[:300]
