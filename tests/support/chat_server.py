"""A server on the loopback interface that speaks the OpenAI chat protocol, and misbehaves as told.

It bills an image as Qwen3-VL's processor would, by its size in cells of 32 pixels and two marks,
reading the size off the picture that it was sent. Knows nothing of tierexp.
"""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image

CELL = 32
MODEL = "qwen3-vl"


@dataclass
class Behaviour:
    """What the server does.

    Args:
        answer: From a question and the image, or None, to a text.
        tokens: From the image's (width, height) to what it is billed.
        fault: From a question and how often it was asked before to a fault: a status, `cut`, `hang`
            or `nonsense`; None for none. The probe's questions are not asked.
        log_probability: From a question to that of every token of its answer; None sends none.
        first, each: Seconds until a streamed answer begins, and between its tokens.
        together: Holds back answers about images of `q...` until so many have been asked for.
        key: That is asked for.
        usage: Whether tokens are counted.
    """

    answer: Callable[[str, Image.Image | None], str] = lambda question, image: f"about {question}"
    tokens: Callable[[int, int], int] = lambda width, height: width // CELL * (height // CELL) + 2
    fault: Callable[[str, int], int | str | None] = lambda question, before: None
    log_probability: Callable[[str], float | None] = lambda question: None
    first: float = 0.0
    each: float = 0.0
    together: threading.Barrier | None = None
    key: str | None = None
    usage: bool = True


@dataclass
class ChatServer:
    """What was asked, and where."""

    behaviour: Behaviour
    address: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    asked: dict[str, int] = field(default_factory=dict)
    at_once: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    over: threading.Event = field(default_factory=threading.Event)

    def questions(self, with_image: bool = True) -> list[str]:
        """Asked so far, the probe's left out."""
        read = [read_body(body) for body in self.bodies]
        own = [(q, image) for q, image in read if not q.startswith(("Describe", "Write"))]
        return [q for q, image in own if (image is not None) == with_image]


def read_body(body: dict[str, Any]) -> tuple[str, Image.Image | None]:
    """The question and the picture of a request."""
    (message,) = body["messages"]
    question, image = "", None
    for part in message["content"]:
        if part["type"] == "text":
            question = part["text"]
        else:
            assert set(part["image_url"]) == {"url"}, "detail is never sent"
            kind, data = part["image_url"]["url"].split(",", 1)
            assert kind == "data:image/png;base64"
            image = Image.open(io.BytesIO(base64.b64decode(data)))
    return question, image


@contextmanager
def chat_server(behaviour: Behaviour | None = None) -> Iterator[ChatServer]:
    """Run one."""
    state = ChatServer(behaviour or Behaviour())

    class Handler(_Handler):
        server_state = state

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.address = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.over.set()
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server_state: ChatServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Nothing on the terminal."""

    def do_GET(self) -> None:
        self._send(200, {"object": "list", "data": [{"id": MODEL, "object": "model"}]})

    def do_POST(self) -> None:
        state = self.server_state
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        question, image = read_body(body)
        with state.lock:
            state.bodies.append(body)
            state.keys.append(self.headers.get("Authorization"))
            before = state.asked.get(question, 0)
            if image is not None:
                state.asked[question] = before + 1
            state.at_once += 1
            state.most_at_once = max(state.most_at_once, state.at_once)
        try:
            if not self._refused(body, question, image, before):
                self._answer(body, question, image)
        finally:
            with state.lock:
                state.at_once -= 1

    def _refused(
        self, body: dict[str, Any], question: str, image: Image.Image | None, before: int
    ) -> bool:
        state, behaviour = self.server_state, self.server_state.behaviour
        if behaviour.key is not None and self.headers["Authorization"] != f"Bearer {behaviour.key}":
            told = self.headers["Authorization"]
            self._send(401, {"error": {"message": f"wrong key {told}"}})
            return True
        if body["model"] != MODEL:
            self._send(404, {"error": {"message": f"no model {body['model']}"}})
            return True
        fault = None if image is None else behaviour.fault(question, before)
        if fault is None:
            return False
        if fault == "hang":
            state.over.wait(20)
        elif fault == "cut":
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"id": ')
            self.close_connection = True
        elif fault == "nonsense":
            self._send(200, {"what": "ever"})
        else:
            assert isinstance(fault, int)
            self._send(fault, {"error": {"message": f"fault {fault}"}}, retry=True)
        return True

    def _answer(self, body: dict[str, Any], question: str, image: Image.Image | None) -> None:
        behaviour = self.server_state.behaviour
        words = behaviour.answer(question, image).split(" ")[: body["max_completion_tokens"]]
        billed = len(question.split()) + 5
        if image is not None:
            billed += behaviour.tokens(*image.size)
        usage = {
            "prompt_tokens": billed,
            "completion_tokens": len(words),
            "total_tokens": billed + len(words),
        }
        whole: dict[str, Any] = {"id": "1", "created": 0, "model": MODEL}
        if behaviour.usage:
            whole["usage"] = usage
        if body.get("stream"):
            self._stream(whole, words)
            return
        if behaviour.together is not None and image is not None and question.startswith("q"):
            behaviour.together.wait(20)
            time.sleep(0.05)  # for one that should not be there yet
        choice: dict[str, Any] = {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": " ".join(words)},
        }
        sure = behaviour.log_probability(question)
        if sure is not None and body.get("logprobs"):
            rivals = [{"token": "x", "logprob": sure}, {"token": "y", "logprob": -3.0}]
            tokens = [{"token": word, "logprob": sure, "top_logprobs": rivals} for word in words]
            choice["logprobs"] = {"content": tokens}
        self._send(200, {"object": "chat.completion", "choices": [choice], **whole})

    def _stream(self, whole: dict[str, Any], words: list[str]) -> None:
        behaviour = self.server_state.behaviour
        usage = whole.pop("usage", None)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        time.sleep(behaviour.first)
        for place, word in enumerate(words):
            if place:
                time.sleep(behaviour.each)
            text = word if place == 0 else f" {word}"
            delta = {"index": 0, "delta": {"content": text}, "finish_reason": None}
            self._event({"object": "chat.completion.chunk", "choices": [delta], **whole})
        end = {"index": 0, "delta": {}, "finish_reason": "stop"}
        self._event({"object": "chat.completion.chunk", "choices": [end], **whole})
        if usage:
            last = {"object": "chat.completion.chunk", "choices": [], "usage": usage}
            self._event({**last, **whole})
        self.wfile.write(b"data: [DONE]\n\n")

    def _event(self, content: dict[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(content)}\n\n".encode())
        self.wfile.flush()

    def _send(self, status: int, content: dict[str, Any], retry: bool = False) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if retry:
            self.send_header("retry-after-ms", "10")
        self.end_headers()
        self.wfile.write(data)
