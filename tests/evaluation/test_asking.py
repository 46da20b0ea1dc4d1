"""Operating points that a policy chooses for every sample, and asks again: all known beforehand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command_line import ARGUMENTS, Outcome, assert_refused, run_on_fakes, timeless
from tests.support.fakes import DEFECT_AT
from tierexp.results.files import load_results
from tierexp.results.schema import EvaluationResults

LANDSCAPE, SQUARE = [480, 640], [512, 512]
SAMPLES = [
    [LANDSCAPE, "sure", ["yes"], "read"],
    [LANDSCAPE, "later", ["yes"], "read"],
    [SQUARE, "last", ["yes"], "count"],
    [LANDSCAPE, "never", ["yes"], "count"],
    [LANDSCAPE, "at once!", ["yes"], "count"],
    [[0, 1], "unreadable", ["yes"], "count"],
]
# By question and crops: the low tier gives either one crop, the medium tier 6 and 4,
# the high tier 12 and 9.
TABLE = {
    "sure@1": "yes", "later@1": "?", "later@6": "yes", "last": "?", "last@9": "yes", "never": "?",
    "at once!@6": "yes", "at once!@1": "no",
}  # fmt: skip


def evaluated(folder: Path, *arguments: str) -> tuple[Outcome, EvaluationResults]:
    outcome = run_on_fakes(folder, SAMPLES, TABLE, *ARGUMENTS, "policy=doubt", *arguments)
    (path,) = (folder / "out").glob("*.json")
    return outcome, load_results(path)


@pytest.mark.whole
@pytest.mark.parametrize("batch_size", [1, 3])
def test_every_sample_gets_the_passes_that_the_policy_wants(
    tmp_path: Path, batch_size: int
) -> None:
    outcome, results = evaluated(tmp_path, f"data.batch_size={batch_size}")
    assert (outcome.code, outcome.err) == (0, "")
    samples = {sample.question: sample for sample in results.per_sample_results}
    passes = {
        question: [one.point for one in sample.earlier_passes] + [sample.point]
        for question, sample in samples.items()
    }
    assert passes == {
        "sure": ["low"],
        "later": ["low", "medium"],
        "last": ["low", "medium", "high"],
        "never": ["low", "medium", "high"],
        "at once!": ["medium"],
    }
    assert [sample.prediction for sample in samples.values()] == ["yes", "yes", "yes", "?", "yes"]
    assert samples["last"].tier == "high"
    assert samples["last"].tier_range.min_crops == 9
    first, second = samples["last"].earlier_passes
    assert (first.selected_crops, second.selected_crops) == (1, 4)
    assert samples["last"].selected_crops == 9
    assert [one.prediction for one in (first, second)] == ["?", "?"]
    assert first.selected_vision_tokens == 2 * 144
    assert (results.tier, results.tier_range.min_crops, results.tier_range.max_crops) == (
        "doubt", 1, 15,
    )  # fmt: skip
    assert (results.num_samples, results.num_failed, results.accuracy) == (5, 1, 0.8)


@pytest.mark.whole
@pytest.mark.parametrize("passes", ["one", "two"])
def test_latency_is_of_all_passes_together(tmp_path: Path, passes: str) -> None:
    """The fake model's operations are its views, its prompt's tokens and its answer's tokens."""
    _, results = evaluated(
        tmp_path, "latency=on", f"latency.passes={passes}", "data.batch_size=1",
        "latency.repeats=1", "latency.warmup=0",
    )  # fmt: skip
    views = {
        sample.question: sample.latency.flops_vision
        for sample in results.per_sample_results
        if sample.latency is not None
    }
    assert views == {
        "sure": 2, "later": 2 + 7, "last": 2 + 5 + 10, "never": 2 + 7 + 13, "at once!": 7,
    }  # fmt: skip


@pytest.mark.whole
def test_an_interrupted_run_goes_on_to_the_same_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        folder.mkdir()
    evaluated(whole, "data.batch_size=1")
    arguments = (*ARGUMENTS, "policy=doubt", "data.batch_size=1")
    monkeypatch.setenv(DEFECT_AT, "never")
    with pytest.raises(RuntimeError):
        run_on_fakes(broken, SAMPLES, TABLE, *arguments)
    monkeypatch.delenv(DEFECT_AT)
    assert (broken / "out" / "unfinished.jsonl").exists()
    run_on_fakes(broken, SAMPLES, TABLE, *arguments, "resume=true")
    assert timeless(broken / "out") == timeless(whole / "out")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["policy=wrong", "policy.first=null"], ["policy", "one point for each of 5 samples"]),
        (["policy=wrong", "policy.first=2"], ["points from 0 to 1, not 2"]),
        (["policy=wrong", "policy.then=0"], ["another point of [1]", "not 0"]),
        (["policy=no_policy"], ["policy._target_", "lacks again, choose, points"]),
        (["policy=doubt", "policy.points=[]"], ["policy.points", "a list of tiers"]),
        (["policy=doubt", "policy.points=low"], ["policy.points", "a list of tiers"]),
        (["policy=doubt", "policy.points=[low,low]"], ["policy.points=low", "once"]),
        (["policy=doubt", "policy.points=[lower]"], ["policy.points=lower", "one of"]),
        (["policy=dout"], ["policy=dout", "static"]),
    ],
)
def test_a_policy_that_cannot_work_is_said_in_one_line(
    tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    outcome = run_on_fakes(tmp_path, SAMPLES, TABLE, *ARGUMENTS, *arguments)
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1, outcome.err
    for word in words:
        assert word in outcome.err.replace("'", ""), outcome.err


def test_a_refused_policy_loads_no_model(tmp_path: Path) -> None:
    outcome = run_on_fakes(tmp_path, SAMPLES, TABLE, *ARGUMENTS, "policy=no_policy")
    assert_refused(outcome, ["lacks"])
    assert not (tmp_path / "loaded").exists()
