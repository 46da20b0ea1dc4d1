"""A run scored by a function of the user's own, and what a run says it could not read."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.support.command_line import TESTS, Outcome, run_eval, run_on_fakes
from tierexp.results.files import load_results
from tierexp.results.schema import EvaluationResults

OWN = "tests.support.own_scores"


def run(folder: Path, *overrides: str) -> Outcome:
    """Two questions, answered `car` and `dog` where `cat` is right."""
    Image.new("RGB", (640, 480)).save(folder / "a.png")
    line = '{"id": "%s", "image": "a.png", "question": "%s", "answers": ["cat"]}\n'
    (folder / "mine.jsonl").write_text(line % (1, "q1") + line % (2, "q2"))
    (folder / "table.json").write_text('{"q1": "car", "q2": "dog"}')
    return run_eval(
        "--config-dir", str(TESTS / "conf"), "model=table", f"model.table={folder / 'table.json'}",
        "data=folder", f"data.path={folder / 'mine.jsonl'}", "data.num_workers=0",
        f"output_dir={folder / 'out'}", "trainer=cpu", "logger=none", *overrides,
    )  # fmt: skip


def results_in(folder: Path) -> EvaluationResults:
    (file,) = (folder / "out").glob("*_tier-*.json")
    return load_results(file)


@pytest.mark.whole
@pytest.mark.parametrize(
    ("score", "name", "accuracy"),
    [
        (f"{OWN}.starts_alike", f"{OWN}.starts_alike", 0.5),
        (f"{{_target_: {OWN}.within, _partial_: true, most: 0}}", f"{OWN}.within(most=0)", 1.0),
        (f"{{_target_: {OWN}.Within, most: 0}}", f"{OWN}.Within", 1.0),
    ],
)
def test_a_run_is_scored_by_a_function_of_ones_own(
    tmp_path: Path, score: str, name: str, accuracy: float
) -> None:
    outcome = run(tmp_path, f"data.score={score}")
    assert (outcome.code, outcome.err) == (0, "")
    results = results_in(tmp_path)
    assert (results.score, results.accuracy) == (name, accuracy)
    assert f"accuracy ({name[:20]}" in outcome.out
    assert results.num_unparsed is None


@pytest.mark.parametrize(
    ("score", "words"),
    [
        (f"{OWN}.nothing", "no attribute 'nothing'"),
        (f"{OWN}.of_one", "(prediction, answers)"),
        (f"{OWN}.broken", "KeyError"),
        ("{a: 1}", "one of exact_match"),
        (f"{{_target_: {OWN}.within}}", "within() missing 2"),
        ("{_target_: no.such}", "no.such"),
    ],
)
def test_a_wrong_one_is_refused_in_one_line(tmp_path: Path, score: str, words: str) -> None:
    outcome = run(tmp_path, f"data.score={score}")
    assert outcome.code == 2
    assert outcome.err.startswith("error: data.score=")
    assert words in outcome.err
    assert outcome.err.count("\n") == 1


@pytest.mark.whole
def test_answers_that_cannot_be_read_are_counted(tmp_path: Path) -> None:
    samples = [[[480, 640], f"q{n}", ["B", "a cat"], "animals"] for n in range(4)]
    table = {"q0": "**B**", "q1": "A, I think", "q2": "I cannot tell.", "q3": "B or C"}
    outcome = run_on_fakes(tmp_path, samples, table, "logger=none", "data.score=multiple_choice")
    assert (outcome.code, outcome.err) == (0, "")
    results = results_in(tmp_path)
    assert (results.accuracy, results.num_unparsed) == (0.25, 2)
    assert [s.is_parsed for s in results.per_sample_results] == [True, True, False, False]
    assert "2 answers, counted as wrong" in outcome.out
