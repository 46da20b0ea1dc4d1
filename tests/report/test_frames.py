"""Results in notebooks: tables with the numbers of the files, and what two runs differ by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.command_line import run_on_fakes
from tierexp.errors import DataError
from tierexp.report.frames import compare_runs, load_runs, runs_frame, samples_frame
from tierexp.results.schema import EvaluationResults

LANDSCAPE, SQUARE = [480, 640], [512, 512]
SAMPLES = [
    [LANDSCAPE, "q0", ["a"], "read"],
    [SQUARE, "q1", ["a"], "read"],
    [SQUARE, "q2", ["a"], "count"],
    [SQUARE, "q3", ["a"], "count"],
]
TABLE = {"q0": "a", "q1": "b", "q2": "a", "q3": "a"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    outcome = run_on_fakes(
        folder, SAMPLES, TABLE, "-m", "tier=low,medium", "threshold=default,strict",
        "logger=none", "trainer=cpu",
    )  # fmt: skip
    assert outcome.code == 0
    return folder / "out"


@pytest.fixture(scope="module")
def runs(folder: Path) -> list[EvaluationResults]:
    return load_runs(folder)


@pytest.mark.whole
def test_a_row_per_run(runs: list[EvaluationResults]) -> None:
    frame = runs_frame(runs)
    assert frame["run"].tolist() == [
        "low · threshold.value 0.3", "low · threshold.value 0.0",
        "medium · threshold.value 0.3", "medium · threshold.value 0.0",
    ]  # fmt: skip
    assert frame["threshold.value"].tolist() == ["0.3", "0.0", "0.3", "0.0"]
    assert frame["accuracy"].tolist() == [0.75] * 4
    assert frame["accuracy_by_task/read/accuracy"].tolist() == [0.5] * 4
    # 640 x 480 in 2 x 3 crops, 512 x 512 in 2 x 2.
    medium = frame[frame["tier"] == "medium"].iloc[0]
    assert (medium["selected_crops_distribution/4"], medium["selected_crops_distribution/6"]) == (
        3,
        1,
    )
    assert (medium["tier_range/min_crops"], medium["tier_range/max_crops"]) == (4, 8)
    low, high = runs[2].accuracy_ci95 or (0, 0)
    assert (medium["accuracy_ci95/0"], medium["accuracy_ci95/1"]) == (low, high)


@pytest.mark.whole
def test_a_row_per_sample(runs: list[EvaluationResults]) -> None:
    frame = samples_frame(runs)
    assert len(frame) == 16
    medium = frame[frame["run"] == "medium · threshold.value 0.3"].set_index("sample_id")
    assert medium["selected_crops"].tolist() == [6, 4, 4, 4]
    assert medium.loc["s0", "selected_tiling/1"] == 3
    assert medium["answers"].tolist() == [("a",)] * 4
    assert medium.groupby("task")["accuracy"].mean().to_dict() == {"count": 1.0, "read": 0.5}


@pytest.mark.whole
def test_two_runs_differ_by_what_they_score(runs: list[EvaluationResults]) -> None:
    before = runs[0]
    scores = [1.0, 1.0, 0.0, 0.0]  # q1 is gained, q2 and q3 are lost
    samples = [
        replace(sample, accuracy=score)
        for sample, score in zip(before.per_sample_results, scores, strict=True)
    ]
    frame = compare_runs(before, replace(before, per_sample_results=tuple(samples)))
    assert list(frame.index) == ["all", "count", "read"]
    assert frame["before"].tolist() == [0.75, 1.0, 0.5]
    assert frame["after"].tolist() == [0.5, 0.0, 1.0]
    assert frame["difference"].tolist() == [-0.25, -1.0, 0.5]
    assert frame[["gained", "lost"]].to_numpy().tolist() == [[1, 2], [0, 2], [1, 0]]
    assert frame.loc["count", ["low", "high"]].tolist() == [-1, -1]  # there is no other outcome
    # Of two samples, one gained: the mean of what is drawn is 0, 1/2 or 1.
    assert frame.loc["read", ["low", "high"]].tolist() == [0, 1]


@pytest.mark.whole
def test_runs_without_a_sample_in_common(runs: list[EvaluationResults]) -> None:
    other = replace(runs[0].per_sample_results[0], sample_id="elsewhere")
    with pytest.raises(DataError, match="share no sample"):
        compare_runs(runs[0], replace(runs[0], per_sample_results=(other,)))


def test_a_folder_without_results(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no results files"):
        load_runs(tmp_path)
