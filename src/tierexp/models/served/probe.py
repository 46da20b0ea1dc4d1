"""What a server really does, found out before a run: a request that is answered proves nothing.

In: a client and a family's plan. Out: `ServerFindings`, and lines for people. Some two dozen short
requests about one picture made on the spot.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from tierexp.errors import ConfigError
from tierexp.models.plans.plan import Preset, Size
from tierexp.models.plans.token_tiers import TierChoice, UnreachableTierError, family_tier
from tierexp.models.served.client import ChatClient, ChatRequest
from tierexp.models.served.png import png
from tierexp.models.served.replies import ChatReply, FailedRequestError, RefusedRequestError
from tierexp.tiers.files import load_tier
from tierexp.tiers.tier import Tier

TIERS = ("low", "medium", "high")
PHOTO: Size = (480, 640)
"""Size of the picture that stands for a photo, (height, width) in pixels."""
TEMPLATE_MARKS = 8
"""Most tokens that a chat template writes around an image: a start, an end, a line break."""
_QUESTION = "Describe the image."
_LENGTH = 8
"""Tokens of an answer."""
_CREATIVE = "Write a line of words that nobody has written before."

Channel = Literal["chat_template_kwargs", "mm_processor_kwargs"]
CHANNELS: tuple[Channel, ...] = ("chat_template_kwargs", "mm_processor_kwargs")
"""Fields of a request under which servers hand settings to the processor of images."""

_KNOBS: dict[str, dict[str, Any]] = {
    f"{channel}.{name}": {channel: {name: value}}
    for channel in CHANNELS
    for name, value in (
        ("size", {"longest_edge": 224, "shortest_edge": 224}),
        ("max_pixels", 200704),
        ("do_image_splitting", False),
        ("max_patches", 1),
    )
}
"""What people set in a request to get fewer tokens."""


@dataclass(frozen=True)
class TierBill:
    """What one tier's image costs.

    Args:
        vision_tokens: By the family's plan.
        marks: By the plan, around those; at most, as the plan counts a token a byte.
        billed: By the server; None where there is no answer.
        refused: Why; None where there is one.
    """

    vision_tokens: int
    marks: int
    billed: int | None
    refused: str | None = None

    @property
    def agrees(self) -> bool:
        """Whether the server bills what is planned."""
        return self.billed is not None and agrees(self.billed, self.vision_tokens, self.marks)

    @property
    def difference(self) -> str:
        """In words."""
        if self.refused is not None:
            return f"no answer about an image of {self.vision_tokens} tokens: {self.refused}"
        return (
            f"the server bills {self.billed} tokens for an image of {self.vision_tokens} by the "
            f"plan, and at most {self.marks + TEMPLATE_MARKS} around them"
        )


@dataclass(frozen=True)
class ServerFindings:
    """What a server does.

    Args:
        counts_tokens: It says how many tokens it bills.
        keeps_limit: No answer was longer than asked for.
        log_probabilities: It sends those of an answer's tokens.
        repeats: At temperature 0 the same request is answered the same.
        temperature_matters: At temperature 2 it is not.
        streams_counts: Streamed answers come with their count of tokens.
        knobs: What came of fields of a request that are to change the count of tokens.
        tiers: What a photo costs, by name of the tier.
        channel: The field under which settings reach the processor; None where none does.
    """

    counts_tokens: bool
    keeps_limit: bool
    log_probabilities: bool
    repeats: bool
    temperature_matters: bool
    streams_counts: bool
    knobs: Mapping[str, str] = field(default_factory=dict)
    tiers: Mapping[str, TierBill] = field(default_factory=dict)
    channel: Channel | None = None

    @property
    def lines(self) -> list[str]:
        """What a user has to know, a line each."""
        lines = []
        if not self.counts_tokens:
            lines.append("the server does not say what it bills: token counts are the plan's alone")
        if not self.keeps_limit:
            lines.append("the server's answers are longer than max_completion_tokens")
        if not self.repeats:
            lines.append("at temperature 0 the server answers the same request differently")
        for name, bill in self.tiers.items():
            if not bill.agrees:
                lines.append(f"tier {name}: {bill.difference}")
        alike: dict[int, list[str]] = {}
        for name, bill in self.tiers.items():
            if bill.billed is not None:
                alike.setdefault(bill.billed, []).append(name)
        for billed, names in alike.items():
            if len(names) > 1:
                tiers = " and ".join(names)
                lines.append(f"tiers {tiers} are billed the same, {billed} tokens an image")
        return lines


class Probe:
    """Asks a server about itself.

    Args:
        client: Client of the server.
        preset: The family that its model is said to be of.
        body: Fields that every request of the run has.
    """

    def __init__(self, client: ChatClient, preset: Preset, body: Mapping[str, Any]) -> None:
        self._client = client
        self._preset = preset
        self._body = body

    def run(self) -> ServerFindings:
        """Find everything out.

        Raises:
            ConfigError: The server does not know the model, or takes no images.
            ServerGoneError: Nobody is there.
        """
        text = self._text_only()
        photo = png(_picture(PHOTO))
        seen = self._first(photo)
        whole = _difference(seen, text)
        sure, streamed = self._sure(photo), self._streamed(photo)
        counts = None not in (text.prompt_tokens, seen.prompt_tokens)
        limited = [reply.completion_tokens for reply in (seen, text) if reply.completion_tokens]
        choices = dict(self._choices())
        channel = self._channel(choices.values(), text) if counts else None
        return ServerFindings(
            counts_tokens=counts,
            keeps_limit=all(tokens <= _LENGTH for tokens in limited),
            log_probabilities=sure is not None and sure.mean_log_probability is not None,
            repeats=self._said(0.0) == 1,
            temperature_matters=self._said(2.0) > 1,
            streams_counts=streamed is not None and streamed.completion_tokens is not None,
            knobs=self._knobs(photo, text, whole) if whole is not None else {},
            tiers={
                name: self._bill(choice, channel, text)
                for name, choice in choices.items()
                if counts
            },
            channel=channel,
        )

    def _text_only(self) -> ChatReply:
        try:
            return self._client.ask(self._request(None))
        except (RefusedRequestError, FailedRequestError) as error:
            known = self._client.models()
            named = f"; it has {', '.join(known[:8])}" if known else ""
            allowed = f"a model of {self._client.base_url}: {error}{named}"
            raise ConfigError("model.name", self._client.model, allowed) from None

    def _first(self, photo: bytes) -> ChatReply:
        try:
            return self._client.ask(self._request(photo))
        except (RefusedRequestError, FailedRequestError) as error:
            allowed = f"a model that sees images: {error}"
            raise ConfigError("model.name", self._client.model, allowed) from None

    def _said(self, temperature: float) -> int:
        """Different answers to one question asked four times."""
        texts = set()
        request = ChatRequest(_CREATIVE, None, _LENGTH, temperature, body=self._body)
        for _ in range(4):
            try:
                texts.add(self._client.ask(request).text)
            except (RefusedRequestError, FailedRequestError):
                continue
        return len(texts)

    def _streamed(self, photo: bytes) -> ChatReply | None:
        try:
            return self._client.stream(self._request(photo))
        except (RefusedRequestError, FailedRequestError):
            return None

    def _sure(self, image: bytes) -> ChatReply | None:
        try:
            return self._client.ask(self._request(image, log_probabilities=True))
        except (RefusedRequestError, FailedRequestError):
            return None

    def _request(self, image: bytes | None, **changes: Any) -> ChatRequest:
        settings: dict[str, Any] = {"max_new_tokens": _LENGTH, "body": self._body, **changes}
        return ChatRequest(_QUESTION, image, **settings)

    def _knobs(self, photo: bytes, text: ChatReply, whole: int) -> dict[str, str]:
        """What comes of every knob."""
        found = {}
        for name, body in _KNOBS.items():
            try:
                reply = self._client.ask(self._request(photo, body=merged(self._body, body)))
            except RefusedRequestError as error:
                found[name] = f"refused ({error.status})"
            except FailedRequestError:
                found[name] = "fails"
            else:
                billed = _difference(reply, text)
                same = billed == whole or billed is None
                found[name] = "changes nothing" if same else f"{whole} to {billed} tokens"
        return found

    def _choices(self) -> Iterator[tuple[str, TierChoice]]:
        """What the tiers make of the photo, as far as the family reaches them."""
        for name in TIERS:
            rule = load_tier(name)
            assert isinstance(rule, Tier)
            try:
                tier = family_tier(self._preset.geometry, rule)
            except UnreachableTierError:
                continue
            planned = tier.plan_many([PHOTO[0]], [PHOTO[1]])
            yield name, planned.choices[planned.chosen[0]]

    def _channel(self, choices: Any, text: ChatReply) -> Channel | None:
        """Where settings that a tier needs reach the processor; None where no tier needs any."""
        for choice in choices:
            if not choice.settings:
                continue
            for channel in CHANNELS:
                if self._bill(choice, channel, text).agrees:
                    return channel
        return None

    def _bill(self, choice: TierChoice, channel: Channel | None, text: ChatReply) -> TierBill:
        body = self._body
        if choice.settings and channel is not None:
            body = merged(body, {channel: dict(choice.settings)})
        planned = choice.plan.vision_tokens, choice.plan.marks
        try:
            reply = self._client.ask(self._request(png(_picture(choice.size)), body=body))
        except (RefusedRequestError, FailedRequestError) as error:
            return TierBill(*planned, None, str(error))
        return TierBill(*planned, _difference(reply, text))


def agrees(billed: int, vision_tokens: int, marks: int) -> bool:
    """Whether a server bills what is planned: the image's tokens, and what stands around them.

    Args:
        billed: By the server.
        vision_tokens: By the plan.
        marks: By the plan; at most, as the plan counts a token a byte.
    """
    return vision_tokens <= billed <= vision_tokens + marks + TEMPLATE_MARKS


def merged(body: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a request with others over them, and within those that are mappings."""
    both = dict(body)
    for key, value in other.items():
        below = both.get(key)
        nested = isinstance(below, Mapping) and isinstance(value, Mapping)
        both[key] = merged(below, value) if nested else value  # type: ignore[arg-type]
    return both


def _difference(reply: ChatReply, text: ChatReply) -> int | None:
    if reply.prompt_tokens is None or text.prompt_tokens is None:
        return None
    return reply.prompt_tokens - text.prompt_tokens


def _picture(size: Size) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """(height, width, 3): slopes in three directions, no two pixels of a row alike."""
    height, width = size
    down, across = np.mgrid[0:height, 0:width]
    channels: Sequence[Any] = (down * 255 // height, across * 255 // width, (down + across) % 256)
    return np.stack(channels, axis=-1).astype(np.uint8)
