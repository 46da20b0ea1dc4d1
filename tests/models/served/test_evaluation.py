"""Evaluations against a server on the loopback interface, which misbehaves as told."""

from __future__ import annotations

import json
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

SAMPLES = [
    [[480, 640], "q0", ["about q0"], "read"],
    [[640, 480], "q1", ["about q1"], "read"],
    [[500, 500], "q2", ["wrong"], "count"],
    [[480, 640], "q3", ["about q3"], "count"],
]


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


def once(fault: int | str, question: str = "q1") -> Behaviour:
    """A fault the first time that a question is asked."""
    return Behaviour(fault=lambda q, before: fault if q == question and before == 0 else None)


def always(fault: int | str, question: str = "q1") -> Behaviour:
    return Behaviour(fault=lambda q, before: fault if q == question else None)


def test_answers_and_bills_are_recorded(tmp_path: Path) -> None:
    with chat_server() as server:
        outcome = evaluated(tmp_path, server, "tier=low")
    assert (outcome.code, outcome.err) == (0, "")
    assert "server bills" not in outcome.out
    results = results_of(tmp_path)
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
        assert sample.prediction == f"about {sample.question}"
        # As the server counts: cells, and two marks.
        assert sample.metrics["billed_tokens"] == rows * cols + 2
    assert results.aggregates["billed_tokens_mean"] == (434 + 434 + 443 + 434) / 4


def test_what_is_sent(tmp_path: Path) -> None:
    with chat_server() as server:
        evaluated(tmp_path, server, "tier=medium", "model.request={chat_template_kwargs: {a: 1}}")
    sent = {read_body(body)[0]: body for body in server.bodies if "q" in str(body["messages"])}
    body = next(b for b in server.bodies if read_body(b)[0] == "q2" and read_body(b)[1] is not None)
    assert {*sent} >= {"q0", "q1", "q2", "q3"}
    for one in sent.values():
        assert one["temperature"] == 0
        assert one["max_completion_tokens"] >= 1
        assert one["chat_template_kwargs"] == {"a": 1}
    assert body["max_completion_tokens"] == 16
    picture = read_body(body)[1]
    assert picture is not None
    assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (1024, 1024))
    image = PlainImages(str(tmp_path / "samples.json")).image(2)
    expected = resample(image, place((500, 500), (1024, 1024), "fill"))
    assert np.array_equal(np.asarray(picture), expected)


def test_the_family_s_own_rule_sends_the_image_as_it_is(tmp_path: Path) -> None:
    with chat_server(Behaviour(tokens=lambda width, height: 302)) as server:
        evaluated(tmp_path, server, "tier=native")
    sizes = [
        image.size
        for question, image in map(read_body, server.bodies)
        if question in ("q0", "q2") and image is not None
    ]
    assert sorted(sizes) == [(500, 500), (640, 480)]
    samples = {s.question: s for s in results_of(tmp_path).per_sample_results}
    # Qwen's own rounding: 480 x 640 is 15 x 20 cells of 32 pixels, 500 becomes 512.
    assert samples["q0"].selected_tiling == (15, 20)
    assert samples["q2"].selected_tiling == (16, 16)


def test_two_tiers_that_bill_the_same_are_a_line(tmp_path: Path) -> None:
    """A server that brings every image to one size."""
    with chat_server(Behaviour(tokens=lambda width, height: 250)) as server:
        outcome = evaluated(tmp_path, server, "tier=low")
    assert outcome.code == 0
    said = " ".join((outcome.out + outcome.err).split())
    assert "tiers low and medium and high are billed the same, 250 tokens" in said
    assert "tier low: the server bills 250 tokens for an image of 432 by the plan" in said


@pytest.mark.parametrize("fault", [429, 500, "cut", "nonsense"])
def test_a_fault_that_passes(tmp_path: Path, fault: int | str) -> None:
    with chat_server(once(fault)) as server:
        outcome = evaluated(tmp_path, server, "tier=low")
    results = results_of(tmp_path)
    assert outcome.code == 0
    if fault == "nonsense":  # nothing says that another time it would be an answer
        assert [f.sample_id for f in results.failures] == ["s1"]
        assert "no chat completion" in results.failures[0].reason
    else:
        assert (results.num_samples, results.num_failed) == (4, 0)
        assert server.questions().count("q1") == 2


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (422, ["422", "fault 422"]),
        (500, ["500", "fault 500", "asked 2 times"]),
        ("cut", ["cuts the connection", "asked 2 times"]),
        ("hang", ["no answer within 0.5 s", "asked 2 times"]),
    ],
)
def test_a_fault_that_stays_is_a_failed_sample_and_is_tried_again(
    tmp_path: Path, fault: int | str, words: list[str]
) -> None:
    quick = ("tier=low", "model.max_retries=1", "model.timeout=0.5")
    with chat_server(always(fault)) as server:
        outcome = evaluated(tmp_path, server, *quick)
        results = results_of(tmp_path)
        assert (outcome.code, results.num_samples, results.num_failed) == (0, 3, 1)
        (failure,) = results.failures
        assert failure.sample_id == "s1"
        for word in words:
            assert word in failure.reason
        server.behaviour = Behaviour()
        server.bodies.clear()
        assert evaluated(tmp_path, server, *quick, "resume=true").code == 0
        assert server.questions() == ["q1"]
    assert (results_of(tmp_path).num_samples, results_of(tmp_path).num_failed) == (4, 0)


def test_a_server_that_answers_nothing_any_more_ends_the_run(tmp_path: Path) -> None:
    with chat_server(Behaviour(fault=lambda q, _: 503 if q.startswith("q") else None)) as server:
        outcome = evaluated(
            tmp_path, server, "tier=low", "model.max_retries=0", "model.concurrency=1"
        )
    assert outcome.code == 1
    assert "fault 503" in outcome.err


def test_nobody_is_there(tmp_path: Path) -> None:
    with chat_server() as server:
        pass
    outcome = evaluated(tmp_path, server, "model.max_retries=0")
    assert outcome.code == 1
    assert outcome.err.count("\n") == 1
    assert "nobody answers at http://127.0.0.1:" in outcome.err
    assert "resume=true" in outcome.err


def test_a_wrong_model_name_is_a_line(tmp_path: Path) -> None:
    with chat_server() as server:
        outcome = evaluated(tmp_path, server, "model.name=nope")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    for word in ("model.name='nope'", "404", "it has qwen3-vl"):
        assert word in outcome.err


def test_the_key_reaches_the_server_and_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "a-key-that-nobody-has-to-know"
    with chat_server(Behaviour(key=key)) as server:
        monkeypatch.setenv("OPENAI_API_KEY", "another-key-that-is-wrong")
        wrong = evaluated(tmp_path, server, "tier=low")
        monkeypatch.setenv("OPENAI_API_KEY", key)
        right = evaluated(tmp_path, server, "tier=low")
    assert (wrong.code, right.code) == (2, 0)
    assert "OPENAI_API_KEY='***'" in wrong.err
    assert set(server.keys) == {"Bearer another-key-that-is-wrong", f"Bearer {key}"}
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) > 1
    texts = [*(file.read_bytes().decode(errors="replace") for file in files)]
    for text in (*texts, wrong.err, wrong.out, right.out, right.err):
        assert key not in text
        assert "another-key-that-is-wrong" not in text


def test_requests_are_concurrent_up_to_a_limit(tmp_path: Path) -> None:
    with chat_server(Behaviour(pause=0.5)) as server:
        evaluated(tmp_path, server, "tier=low", "model.concurrency=3", "data.batch_size=4")
    assert server.most_at_once == 3


def test_latency_is_that_of_the_stream(tmp_path: Path) -> None:
    behaviour = Behaviour(answer=lambda q, image: "a b c d e", first=0.12, each=0.04)
    with chat_server(behaviour) as server:
        outcome = evaluated(
            tmp_path, server, "tier=low", "latency=on", "latency.repeats=1", "latency.warmup=0"
        )
    assert outcome.code == 0
    latency = results_of(tmp_path).latency
    assert latency is not None
    assert set(latency.stages) == {"T_LLM_prefill", "T_LLM_decode", "T_decode_per_token", "T_total"}
    assert latency.new_tokens_mean == 5
    # The server slept so long; a reader who comes late sees a token later, never earlier.
    assert latency.stages["T_LLM_prefill"].mean >= 120
    assert latency.stages["T_total"].mean >= 120 + 4 * 40
    assert latency.stages["T_LLM_decode"].mean > 0
    assert latency.stages["T_decode_per_token"].mean == pytest.approx(
        latency.stages["T_LLM_decode"].mean / 4
    )
    together = latency.stages["T_LLM_prefill"].mean + latency.stages["T_LLM_decode"].mean
    assert latency.stages["T_total"].mean >= together


def test_confidence_is_the_server_s(tmp_path: Path) -> None:
    with chat_server(Behaviour(log_probabilities=-0.25)) as server:
        evaluated(tmp_path, server, "tier=low")
    for sample in results_of(tmp_path).per_sample_results:
        assert sample.metrics["confidence"] == pytest.approx(-0.25)
        margin = np.exp(-0.25) - np.exp(-3.0)
        assert sample.metrics["first_margin"] == pytest.approx(margin)


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
    with chat_server() as server:
        assert_refused(evaluated(tmp_path, server, *arguments), words)
    assert server.bodies == []


@pytest.mark.parametrize(("sure", "points"), [(-0.25, ["low"]), (-1.0, ["low", "medium"])])
def test_a_policy_reads_the_server_s_confidence(
    tmp_path: Path, sure: float, points: list[str]
) -> None:
    with chat_server(Behaviour(log_probabilities=sure)) as server:
        outcome = evaluated(tmp_path, server, "policy=unsure")
    assert (outcome.code, outcome.err) == (0, "")
    for sample in results_of(tmp_path).per_sample_results:
        assert [*(one.point for one in sample.earlier_passes), sample.point] == points


CASCADE = ("policy=cascade", "policy.points=[low,medium]", "policy.thresholds=[-0.5]")


@pytest.mark.parametrize("policy", [("policy=unsure",), CASCADE])
def test_a_policy_that_needs_confidence_is_refused_without(
    tmp_path: Path, policy: tuple[str, ...]
) -> None:
    with chat_server() as server:
        outcome = evaluated(tmp_path, server, *policy)
        assert (outcome.code, outcome.err.count("\n")) == (2, 1)
        assert "policy=" in outcome.err
        assert "logprobs" in outcome.err
        assert server.questions() == []


def test_what_the_server_does_is_in_the_results(tmp_path: Path) -> None:
    with chat_server() as server:
        evaluated(tmp_path, server, "tier=low")
    found = results_of(tmp_path).provenance.server
    assert (found["counts_tokens"], found["log_probabilities"]) == (True, False)
    assert found["knobs"]["mm_processor_kwargs.size"] == "changes nothing"
    # A photo of 640 x 480 by the worked example of the first test, and 2 marks of the server's.
    assert found["tiers"]["low"]["vision_tokens"] == 432
    assert found["tiers"]["low"]["billed"] == 434
