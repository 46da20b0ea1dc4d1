"""The summary holds every figure, at 80 columns and without a terminal."""

from __future__ import annotations

import dataclasses
import io
import re
from pathlib import Path

from rich.console import Console

from tests.support.results import FACTS, LANDSCAPE, PROVENANCE, SQUARE
from tierexp.report.summary import print_summary, worth_showing
from tierexp.results.aggregate import aggregate
from tierexp.results.schema import EvaluationResults, Failure, SampleResult

REASONS = ("cannot identify image file " + "x" * 90, "truncated", "truncated")


def printed(*samples: SampleResult, logger_line: str | None = None, columns: int = 80) -> str:
    failures = [Failure(f"f{i}", reason) for i, reason in enumerate(REASONS)]
    results: EvaluationResults = aggregate(samples, failures, FACTS, 4.0, PROVENANCE)
    text = io.StringIO()
    path = Path("/results/" + "deep/" * 20) / results.file_name
    print_summary(results, path, logger_line, Console(file=text, width=columns))
    return text.getvalue()


def test_every_figure_is_there() -> None:
    text = " ".join(printed(LANDSCAPE, SQUARE, logger_line="offline").split())
    for figure in (
        "coco_2014_vqa · tier medium · model molmo",
        "medium, 4 to 8 crops",
        "2 evaluated, 3 failed",
        "5.0 ± 1.0",
        "864.0 ± 144.0",
        "756.0 that see the image",
        "624.0 without overlap",
        "utilization │ 85.7% mean",
        "of the crops │ 84.4% mean",
        "0.033 mean, 0.062 at the 95th percentile",
        "14 blocks, top 8 experts",
        "0.5 samples per second",
        "50.0% │ 9.5% to 90.5% │ 2",
        "100.0% │ 20.7% to 100.0% │ 1",
        "2 │ truncated",
        "metrics offline",
    ):
        assert figure in text, figure


def test_chance_stands_beside_accuracy_where_it_is_known() -> None:
    guessed = [dataclasses.replace(sample, chance=0.25) for sample in (LANDSCAPE, SQUARE)]
    text = " ".join(printed(*guessed).split())
    assert "n │ chance" in text
    assert "2 │ 25.0%" in text
    assert "chance" not in printed(LANDSCAPE, SQUARE)


def test_the_score_is_named() -> None:
    facts = dataclasses.replace(FACTS, score="exact_match")
    results = aggregate([LANDSCAPE], [], facts, 4.0, PROVENANCE)
    text = io.StringIO()
    print_summary(results, Path("x.json"), None, Console(file=text, width=80))
    assert "accuracy (exact match)" in text.getvalue()
    assert "accuracy (vqa)" in printed(LANDSCAPE)


def test_tables_fit_80_columns_and_paths_stay_whole() -> None:
    lines = printed(LANDSCAPE, SQUARE).splitlines()
    path = [line for line in lines if line.startswith("results  ")]
    assert len(path) == 1
    assert path[0].endswith("_blocks14.json")
    assert max(len(line) for line in lines if line not in path) <= 80
    assert not any("…" in line for line in lines)


def test_a_few_answers_are_shown_a_line_each() -> None:
    """Of every task first; long texts are cut, and nothing reaches the terminal as an order."""
    samples = [
        dataclasses.replace(
            LANDSCAPE, sample_id=f"{task}{number}", task=task, question=f"{task} {number}?",
        )
        for task in ("read", "count", "odd") for number in range(40)
    ]  # fmt: skip
    long = "What is written on the sign that hangs above the door of the house?\nOne word."
    samples[80:] = [
        dataclasses.replace(
            LANDSCAPE, sample_id="odd0", task="odd", question=long, accuracy=1 / 3,
            prediction="\x1b[31mred\x07\n\u202eand " + "very " * 30, answers=("",),
        )
    ]  # fmt: skip
    cuts = {80: "What is written on the sign that han…", 500: long[:60]}
    for columns, cut in cuts.items():
        lines = printed(*samples, columns=columns).splitlines()
        (start,) = (number for number, line in enumerate(lines) if "some answers" in line)
        rows = lines[start + 4 : start + 9]
        assert len(rows) == 5
        (odd,) = (row for row in rows if "33.3%" in row)
        assert cut in odd
        assert "[31mred and ve" in odd
        assert "(nothing)" in odd
        assert not set("\x1b\x07\u202e") & set(odd)
        assert {len(row) for row in rows} == {len(lines[start + 1])}
        assert len(odd) <= 120
        told = [re.search(r"(read|count) \d+\?", row) for row in rows]
        assert {match[1] for match in told if match} == {"read", "count"}
        assert lines[start + 9].startswith("└")


def test_every_run_on_the_same_data_shows_the_same_questions() -> None:
    samples = [dataclasses.replace(LANDSCAPE, sample_id=str(number)) for number in range(30)]
    others = [dataclasses.replace(s, prediction="no", accuracy=0.0) for s in reversed(samples)]
    shown = {sample.sample_id for sample in worth_showing(samples)}
    assert len(shown) == 5
    assert shown == {sample.sample_id for sample in worth_showing(others)}
    assert [s.sample_id for s in worth_showing(samples)] == sorted(shown, key=int)
    assert worth_showing(samples[:2]) == samples[:2]


def test_a_pipe_gets_no_control_characters() -> None:
    assert "\x1b" not in printed(LANDSCAPE)


def test_names_are_not_read_as_markup() -> None:
    facts = dataclasses.replace(FACTS, dataset="photos[final][/x]", tier="[b]mine")
    results = aggregate([LANDSCAPE], [], facts, 4.0, PROVENANCE)
    text = io.StringIO()
    print_summary(results, Path("x.json"), None, Console(file=text, width=80))
    assert "photos[final][/x] · tier [b]mine" in text.getvalue()
    assert "[b]mine, 4 to 8 crops" in text.getvalue()


def test_without_a_scored_sample_failures_remain() -> None:
    text = printed()
    assert "0 evaluated, 3 failed" in text
    assert "accuracy" not in text
    assert "truncated" in text


def test_failures_of_one_kind_are_one_line_with_an_example() -> None:
    reasons = [
        *(f"/photos of mine/IMG_{n}.jpg: image file is truncated ({n} bytes)" for n in range(300)),
        "/a.png: no such file",
        "image: no such file",
        "b.gif: no such file",
    ]
    failures = [Failure(f"f{place}", reason) for place, reason in enumerate(reasons)]
    results = aggregate([LANDSCAPE], failures, FACTS, 4.0, PROVENANCE)
    text = io.StringIO()
    print_summary(results, Path("x.json"), None, Console(file=text, width=80))
    words = " ".join(text.getvalue().replace("│", " ").split())
    assert "300 image file is truncated (N bytes); the first is sample f0" in words
    assert "3 no such file; the first is sample f300" in words


def test_a_single_failure_is_told_in_full() -> None:
    failure = Failure("f", "/photos/IMG_1.jpg: image file is truncated (17 bytes)")
    text = io.StringIO()
    results = aggregate([LANDSCAPE], [failure], FACTS, 4.0, PROVENANCE)
    print_summary(results, Path("x.json"), None, Console(file=text, width=80))
    assert "/photos/IMG_1.jpg: image file is truncated (17 bytes)" in text.getvalue()
