"""Evaluations against a server on the loopback interface."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.support.chat_server import MODEL, Behaviour, ChatServer, chat_server, read_body
from tests.support.command_line import ARGUMENTS, TESTS, Outcome, assert_refused, run_eval
from tests.support.fakes import PlainImages
from tierexp.imaging.resample import resample
from tierexp.imaging.resize import place
from tierexp.results.files import load_results
from tierexp.results.schema import EvaluationResults

pytestmark = pytest.mark.whole

SAMPLES = [
    [[480, 640], "q0", ["what about q0"], "read"],
    [[640, 480], "q1", ["what about q1"], "read"],
    [[500, 500], "q2", ["wrong"], "count"],
    [[480, 640], "q3", ["what about q3"], "count"],
]
KEY = "a-key-that-nobody-has-to-know"
NOBODY = "http://127.0.0.1:1/v1"
"""A port that no server has: what is refused there has not been asked."""


def evaluated(folder: Path, server: ChatServer, *arguments: str) -> Outcome:
    (folder / "samples.json").write_text(json.dumps(SAMPLES))
    return run_eval(
        "--config-dir", str(TESTS / "conf"), "data=plain", f"data.path={folder / 'samples.json'}",
        "model=openai", f"model.base_url={server.address}", f"model.name={MODEL}",
        "model.family=qwen3_vl", f"output_dir={folder / 'out'}", *ARGUMENTS, *arguments,
    )  # fmt: skip


def results_of(folder: Path) -> EvaluationResults:
    (path,) = (folder / "out").glob("*_tier-*.json")
    return load_results(path)


@dataclass(frozen=True)
class Run:
    """One that went well.

    Args:
        folder: Of its files.
        outcome: What it said.
        results: What it measured.
        server: What was asked.
    """

    folder: Path
    outcome: Outcome
    results: EvaluationResults
    server: ChatServer


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """At the low tier, timed, on a server with a key, which streams at a pace of its own."""
    folder = tmp_path_factory.mktemp("served")
    behaviour = Behaviour(
        answer=lambda question, image: f"what about {question}", key=KEY, first=0.12, each=0.04,
        log_probability=lambda question: -0.25,
    )  # fmt: skip
    with chat_server(behaviour) as server, pytest.MonkeyPatch.context() as patched:
        patched.setenv("OPENAI_API_KEY", KEY)
        outcome = evaluated(
            folder, server, "tier=low", "model.request={chat_template_kwargs: {a: 1}}",
            "latency=on", "latency.repeats=1", "latency.warmup=0",
        )  # fmt: skip
    return Run(folder, outcome, results_of(folder), server)


def test_answers_and_bills_are_recorded(run: Run) -> None:
    assert (run.outcome.code, run.outcome.err) == (0, "")
    assert "server bills" not in run.outcome.out
    results = run.results
    assert (results.model, results.num_samples, results.accuracy) == (MODEL, 4, 0.75)
    samples = {sample.question: sample for sample in results.per_sample_results}
    # 576 = 18 x 32 cells at most; of 3:4 the grid 18 x 24, of a square 20 x 20 is the nearest to
    # 432 tokens (400, and 441 is nearer: 21 x 21).
    assert samples["q0"].selected_tiling == (18, 24)
    assert samples["q1"].selected_tiling == (24, 18)
    assert samples["q2"].selected_tiling == (21, 21)
    for sample in samples.values():
        rows, cols = sample.selected_tiling
        assert sample.selected_vision_tokens == sample.llm_vision_tokens == rows * cols
        assert sample.target_resolution == (32 * rows, 32 * cols)
        assert sample.prediction == f"what about {sample.question}"
        # As the server counts: cells, and two marks.
        assert sample.metrics["billed_tokens"] == rows * cols + 2
    assert results.aggregates["billed_tokens_mean"] == (434 + 434 + 443 + 434) / 4


def test_what_is_sent(run: Run) -> None:
    sent = {}
    for body in run.server.bodies:
        question, picture = read_body(body)
        if picture is not None and not body.get("stream"):
            sent[question] = body, picture
    assert {*sent} >= {"q0", "q1", "q2", "q3"}
    for body, _ in sent.values():
        assert body["temperature"] == 0
        assert body["max_completion_tokens"] >= 1
        assert body["chat_template_kwargs"] == {"a": 1}
    body, picture = sent["q2"]
    assert body["max_completion_tokens"] == 16
    assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (672, 672))
    image = PlainImages(str(run.folder / "samples.json")).image(2)
    expected = resample(image, place((500, 500), (672, 672), "fill"))
    assert np.array_equal(np.asarray(picture), expected)


def test_the_key_reaches_the_server_and_no_file(run: Run) -> None:
    assert set(run.server.keys) == {f"Bearer {KEY}"}
    files = [file for file in run.folder.rglob("*") if file.is_file()]
    assert len(files) > 1
    texts = [*(file.read_bytes().decode(errors="replace") for file in files)]
    for text in (*texts, run.outcome.out, run.outcome.err):
        assert KEY not in text


def test_latency_is_that_of_the_stream(run: Run) -> None:
    latency = run.results.latency
    assert latency is not None
    assert set(latency.stages) == {"T_LLM_prefill", "T_LLM_decode", "T_decode_per_token", "T_total"}
    assert latency.new_tokens_mean == 3
    # The server slept so long; a reader who comes late sees a token later, never earlier.
    assert latency.stages["T_LLM_prefill"].mean >= 120
    assert latency.stages["T_total"].mean >= 120 + 2 * 40
    assert latency.stages["T_LLM_decode"].mean > 0
    assert latency.stages["T_decode_per_token"].mean == pytest.approx(
        latency.stages["T_LLM_decode"].mean / 2
    )
    together = latency.stages["T_LLM_prefill"].mean + latency.stages["T_LLM_decode"].mean
    assert latency.stages["T_total"].mean >= together


def test_confidence_is_the_server_s(run: Run) -> None:
    for sample in run.results.per_sample_results:
        assert sample.metrics["confidence"] == pytest.approx(-0.25)
        margin = np.exp(-0.25) - np.exp(-3.0)
        assert sample.metrics["first_margin"] == pytest.approx(margin)


def test_what_the_server_does_is_in_the_results(run: Run) -> None:
    found = run.results.provenance.server
    assert (found["counts_tokens"], found["log_probabilities"]) == (True, True)
    assert found["knobs"]["mm_processor_kwargs.size"] == "changes nothing"
    # A photo of 640 x 480 by the worked example of the first test, and 2 marks of the server's.
    assert found["tiers"]["low"]["vision_tokens"] == 432
    assert found["tiers"]["low"]["billed"] == 434


def test_what_is_not_answered_is_a_failed_sample_and_is_asked_again(tmp_path: Path) -> None:
    """`test_client` has every fault."""
    faults = {"q1": 500, "q3": "nonsense"}
    with chat_server(Behaviour(fault=lambda question, _: faults.get(question))) as server:
        quick = ("tier=low", "model.max_retries=0")
        assert evaluated(tmp_path, server, *quick).code == 0
        results = results_of(tmp_path)
        assert (results.num_samples, results.num_failed) == (2, 2)
        reasons = {failure.sample_id: failure.reason for failure in results.failures}
        assert "fault 500" in reasons["s1"]
        assert "no chat completion" in reasons["s3"]
        server.behaviour = Behaviour()
        server.bodies.clear()
        assert evaluated(tmp_path, server, *quick, "resume=true").code == 0
        assert sorted(server.questions()) == ["q1", "q3"]
    assert (results_of(tmp_path).num_samples, results_of(tmp_path).num_failed) == (4, 0)


def test_nobody_is_there(tmp_path: Path) -> None:
    outcome = evaluated(tmp_path, ChatServer(Behaviour(), NOBODY), "model.max_retries=0")
    assert outcome.code == 1
    assert outcome.err.count("\n") == 1
    assert f"nobody answers at {NOBODY}" in outcome.err
    assert "resume=true" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["model.base_url=localhost"], ["model.base_url='localhost'"]),
        (["model.family=qwen9"], ["model.family='qwen9'"]),
        (["model.family=gemma3", "tier=low"], ["tier='low'", "gemma3", "256"]),
        (["model.family=gemma3", "tier=fixed_720"], ["tier='fixed_720'", "gemma3"]),
        (["resize=letterbox"], ["resize.crops='letterbox'"]),
        (["resize.exact=true"], ["resize.exact=True"]),
        (["threshold=strict"], ["threshold"]),
        (["model.timeout=0"], ["model.timeout=0"]),
        (["model.concurrency=0"], ["model.concurrency=0"]),
        (["model.request={temperature: 1}"], ["model.request.temperature=1"]),
        (["latency=on", "latency.output_tokens=4"], ["latency.output_tokens=4"]),
    ],
)
def test_what_cannot_be_is_a_line_before_anything_is_asked(
    tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    assert_refused(evaluated(tmp_path, ChatServer(Behaviour(), NOBODY), *arguments), words)


def test_a_policy_reads_the_server_s_confidence(tmp_path: Path) -> None:
    """Of which -0.5 is the least that it takes."""
    sure = {"q0": -0.25, "q1": -1.0}
    with chat_server(Behaviour(log_probability=lambda q: sure.get(q, -0.25))) as server:
        outcome = evaluated(tmp_path, server, "policy=unsure")
    assert (outcome.code, outcome.err) == (0, "")
    for sample in results_of(tmp_path).per_sample_results:
        points = [*(one.point for one in sample.earlier_passes), sample.point]
        assert points == (["low", "medium"] if sample.question == "q1" else ["low"])


def test_a_policy_that_needs_confidence_is_refused_without(tmp_path: Path) -> None:
    cascade = ("policy=cascade", "policy.points=[low,medium]", "policy.thresholds=[-0.5]")
    with chat_server() as server:
        outcome = evaluated(tmp_path, server, *cascade)
        assert (outcome.code, outcome.err.count("\n")) == (2, 1)
        assert "policy=" in outcome.err
        assert "logprobs" in outcome.err
        assert server.questions() == []
