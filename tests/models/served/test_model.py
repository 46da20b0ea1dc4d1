"""A model on a server, asked in batches, and what it finds out before."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.support.chat_server import MODEL, ChatServer, chat_server
from tierexp.errors import ConfigError
from tierexp.imaging.resize import Resize
from tierexp.models.confidence import ConfidenceMeter
from tierexp.models.served.inputs import ServedInputs
from tierexp.models.served.model import ServedModel
from tierexp.models.served.replies import ServerGoneError
from tierexp.models.served.source import OpenAIModel
from tierexp.tiers.files import load_tier
from tierexp.tiers.threshold import Threshold

pytestmark = pytest.mark.whole


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with chat_server() as running:
        yield running


def source(server: ChatServer, **settings: Any) -> OpenAIModel:
    return OpenAIModel(server.address, MODEL, "qwen3_vl", **settings)


def rows(model: OpenAIModel, count: int, tier: str = "low") -> ServedInputs:
    """Questions `q0`, `q1`, ... about one grey square of 500 pixels at a tier."""
    preprocessing = model.preprocessing(load_tier(tier), Threshold(), Resize())
    tiling = preprocessing.select(500, 500).tiling
    builder = model.inputs()
    image = builder.image(np.full((500, 500, 3), 128, np.uint8), tiling, preprocessing)
    asked = [builder.row(image, tiling, model.geometry, f"q{number}") for number in range(count)]
    return builder.collate(asked)


def loaded(model: OpenAIModel) -> ServedModel:
    return model.load(torch.device("cpu"))


def test_requests_are_concurrent_up_to_a_limit(server: ChatServer) -> None:
    made = source(server, concurrency=3)
    model = loaded(made)
    # No answer before three are asked for: six rows in two threes.
    server.behaviour.together = threading.Barrier(3)
    answers = model.generate(rows(made, 6), 16)
    assert server.most_at_once == 3
    assert sorted(server.questions()) == [f"q{number}" for number in range(6)]
    assert len(answers) == 6


def test_five_questions_in_a_row_without_an_answer_end_a_run(server: ChatServer) -> None:
    made = source(server, concurrency=1, max_retries=0)
    model = loaded(made)
    server.behaviour.fault = lambda question, _: 503
    meter = ConfidenceMeter()
    model.generate(rows(made, 4), 16, observer=meter)
    assert ["fault 503" in str(facts.failure) for facts in meter.facts(4)] == [True] * 4
    with pytest.raises(ServerGoneError, match=r"fault 503.*5 questions in a row have no answer"):
        model.generate(rows(made, 1), 16)


def test_an_answer_ends_the_count(server: ChatServer) -> None:
    made = source(server, concurrency=1, max_retries=0)
    model = loaded(made)
    server.behaviour.fault = lambda question, _: None if question == "q4" else 503
    meter = ConfidenceMeter()
    model.generate(rows(made, 9), 16, observer=meter)
    assert [facts.failure is None for facts in meter.facts(9)].index(True) == 4


def test_the_family_s_own_rule_sends_the_image_as_it_is(server: ChatServer) -> None:
    (row,) = rows(source(server), 1, tier="native").rows
    assert Image.open(BytesIO(row.file)).size == (500, 500)
    assert row.vision_tokens == 16 * 16  # Qwen's own rounding: 500 becomes 512, in cells of 32


def test_two_tiers_that_bill_the_same_are_a_line(
    server: ChatServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that brings every image to one size."""
    server.behaviour.tokens = lambda width, height: 250
    with caplog.at_level(logging.WARNING, logger="tierexp"):
        loaded(source(server))
    said = [record.getMessage() for record in caplog.records]
    assert (
        f"{MODEL}: tiers low and medium and high are billed the same, 250 tokens an image" in said
    )
    assert any("tier low: the server bills 250 tokens for an image of 432" in line for line in said)


def test_a_server_that_does_what_is_planned_is_found_to(
    server: ChatServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="tierexp"):
        found = loaded(source(server)).findings
    assert not caplog.records
    assert (found.counts_tokens, found.log_probabilities, found.repeats) == (True, False, True)
    assert found.knobs["mm_processor_kwargs.size"] == "changes nothing"
    # Of a photo of 640 x 480, 18 x 24 cells, and two marks of the server's.
    assert (found.tiers["low"].vision_tokens, found.tiers["low"].billed) == (432, 434)


def test_a_server_that_counts_nothing_is_a_line(
    server: ChatServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.behaviour.usage = False
    with caplog.at_level(logging.WARNING, logger="tierexp"):
        model = loaded(source(server))
    assert not model.findings.counts_tokens
    assert "token counts are the plan's alone" in caplog.text
    assert model.findings.tiers == {}


def test_a_wrong_model_name_is_a_line(server: ChatServer) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(OpenAIModel(server.address, "nope", "qwen3_vl"))
    for word in ("model.name='nope'", "404", "it has qwen3-vl"):
        assert word in str(caught.value)


def test_a_wrong_key_is_a_line_that_does_not_hold_it(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.behaviour.key = "a-key-that-nobody-has-to-know"
    monkeypatch.setenv("OPENAI_API_KEY", "another-key-that-is-wrong")
    with pytest.raises(ConfigError) as caught:
        loaded(source(server))
    assert set(server.keys) == {"Bearer another-key-that-is-wrong"}
    assert "OPENAI_API_KEY='***'" in str(caught.value)
    assert "another-key" not in str(caught.value)
