"""One request to a server that misbehaves as told: what is repeated, and what comes of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from openai import _base_client

from tests.support.chat_server import MODEL, Behaviour, ChatServer, chat_server
from tierexp.models.served.client import ChatClient, ChatRequest
from tierexp.models.served.png import png
from tierexp.models.served.probe import _picture
from tierexp.models.served.replies import FailedRequestError, RefusedRequestError

ASKED = ChatRequest("q1", png(_picture((32, 32))), 4)


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the server names no pause before a request is repeated, the package has its own."""
    monkeypatch.setattr(_base_client, "INITIAL_RETRY_DELAY", 0.0)


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with chat_server() as running:
        yield running


def client(server: ChatServer, timeout: float = 20, max_retries: int = 1) -> ChatClient:
    return ChatClient(server.address, MODEL, timeout, max_retries)


@pytest.mark.parametrize("fault", [429, 500, "cut"])
def test_a_fault_that_passes(server: ChatServer, fault: int | str) -> None:
    server.behaviour.fault = lambda _, before: fault if before == 0 else None
    assert client(server).ask(ASKED).text == "about q1"
    assert server.questions() == ["q1", "q1"]


@pytest.mark.parametrize(
    ("fault", "words", "times"),
    [
        (500, "the server fails (500: fault 500), asked 2 times", 2),
        ("cut", "the server cuts the connection, asked 2 times", 2),
        ("hang", "no answer within 0.3 s, asked 2 times", 2),
        ("nonsense", "what the server sends is no chat completion", 1),
    ],
)
def test_a_fault_that_stays(server: ChatServer, fault: int | str, words: str, times: int) -> None:
    """Of nonsense, nothing says that another time it would be an answer."""
    server.behaviour.fault = lambda *_: fault
    timeout = 0.3 if fault == "hang" else 20
    with pytest.raises(FailedRequestError) as caught:
        client(server, timeout).ask(ASKED)
    assert str(caught.value) == words
    assert server.questions() == ["q1"] * times


def test_what_the_server_does_not_take_is_asked_once(server: ChatServer) -> None:
    server.behaviour.fault = lambda *_: 422
    with pytest.raises(RefusedRequestError, match=r"\(422: fault 422\)"):
        client(server).ask(ASKED)
    assert server.questions() == ["q1"]


def test_the_answer_is_as_sure_as_its_tokens() -> None:
    with chat_server(Behaviour(log_probability=lambda question: -0.25)) as server:
        asked = ChatRequest("q1", ASKED.image, 4, log_probabilities=True)
        reply = client(server).ask(asked)
    assert reply.log_probabilities == (-0.25, -0.25)
    assert reply.first_rivals == (-0.25, -3.0)
