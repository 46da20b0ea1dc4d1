"""A whole evaluation of a model whose answers stand in a table: what comes out is known before."""

from __future__ import annotations

import csv
import dataclasses
import shlex
from pathlib import Path

import pytest

from tests.support.command_line import Outcome, run_eval, run_on_fakes
from tests.support.fakes import CTRL_C
from tierexp.results.columns import StoredSamples
from tierexp.results.files import load_results
from tierexp.results.schema import EvaluationResults, Failure

LANDSCAPE, PORTRAIT, SQUARE = [480, 640], [640, 480], [512, 512]
NO_IMAGE, TRUNCATED = [0, 1], [-480, 640]
SAMPLES = [
    [LANDSCAPE, "q0", ["a0"], "read"],
    [NO_IMAGE, "q1", ["a1"], "read"],
    [PORTRAIT, "q2", ["x", "A2."], "read"],
    [SQUARE, "q3", ["a3"], "count"],
    [LANDSCAPE, "a longer question", ["a4"], "count"],
    [TRUNCATED, "q5", ["a5"], "count"],
]
TABLE = {"q0": "a0", "q2": " a2", "q3": "wrong", "a longer question": "a4"}


def evaluated(folder: Path, *arguments: str) -> tuple[Outcome, EvaluationResults]:
    outcome = run_on_fakes(folder, SAMPLES, TABLE, "trainer=cpu", "logger=csv", *arguments)
    (path,) = (folder / "out").glob("*.json")
    return outcome, load_results(path)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome, EvaluationResults]:
    """One run that many tests look at: its folder, what it said, and its results."""
    folder = tmp_path_factory.mktemp("evaluation")
    outcome, results = evaluated(folder, "model.top_k=2", "seed=5", "tier.description=mine")
    return folder / "out", outcome, results


@pytest.mark.whole
def test_every_sample_is_recorded(run: tuple[Path, Outcome, EvaluationResults]) -> None:
    _, outcome, results = run
    assert (outcome.code, outcome.err) == (0, "")
    samples = {sample.sample_id: sample for sample in results.per_sample_results}
    assert list(samples) == ["s0", "s2", "s3", "s4"]
    assert results.failures == (
        Failure("s1", "not an image"),
        Failure("s5", "the pixels are truncated"),
    )
    # The worked examples of the design.
    selections = [
        (s.selected_crops, s.selected_tiling, round(s.aspect_ratio_mismatch, 4))
        for s in samples.values()
    ]
    wide, tall, even = (6, (2, 3), 0.0652), (6, (3, 2), 0.0303), (4, (2, 2), 0.0)
    assert selections == [wide, tall, even, wide]
    assert [s.selected_vision_tokens for s in samples.values()] == [1008, 1008, 720, 1008]
    assert [s.llm_vision_tokens for s in samples.values()] == [704, 704, 544, 704]
    assert [s.prediction for s in samples.values()] == ["a0", " a2", "wrong", "a4"]
    assert [s.accuracy for s in samples.values()] == [1, 1, 0, 1]
    tall_sample = samples["s2"]
    assert tall_sample.original_image_size == (480, 640)
    assert tall_sample.original_aspect_ratio == 0.75
    assert tall_sample.target_resolution == (672, 448)
    assert tall_sample.target_aspect_ratio == pytest.approx(2 / 3)
    assert (tall_sample.resize_to_fill, tall_sample.padding_fraction) == (True, 0)
    assert (results.top_k, results.num_active_blocks) == (2, 3)
    assert (results.num_samples, results.num_failed, results.accuracy) == (4, 2, 0.75)
    assert results.accuracy_by_task["count"].accuracy == 0.5
    assert results.selected_crops_distribution == {4: 1, 6: 3}


@pytest.mark.whole
def test_answers_are_scored_as_the_data_set_says(tmp_path: Path) -> None:
    """Two of ten annotators who agree give 0.6, four or more give 1."""
    samples = [
        [SQUARE, "q0", ["Two"] * 2 + ["3"] * 8, "count"],
        [SQUARE, "q1", ["the red car"] * 10, "name"],
        [SQUARE, "q2", ["blue"] * 10, "name"],
    ]
    table = {"q0": "2.", "q1": "red car", "q2": "green"}
    outcome = run_on_fakes(tmp_path, samples, table, "logger=csv", "data.score=vqa")
    assert (outcome.code, outcome.err) == (0, "")
    assert "accuracy (vqa)" in outcome.out
    (path,) = (tmp_path / "out").glob("*.json")
    results = load_results(path)
    assert results.score == "vqa"
    assert [s.accuracy for s in results.per_sample_results] == pytest.approx([0.6, 1, 0])
    assert results.accuracy == pytest.approx(1.6 / 3)
    (path,) = (tmp_path / "out").glob("csv/metrics.csv")
    with path.open() as file:
        (row,) = csv.DictReader(file)
    assert float(row["test/accuracy"]) == pytest.approx(1.6 / 3)
    assert float(row["test/accuracy_name"]) == pytest.approx(0.5)


def test_provenance_says_how_to_repeat_it(
    run: tuple[Path, Outcome, EvaluationResults],
) -> None:
    folder, _, results = run
    provenance = results.provenance
    assert (provenance.seed, provenance.device) == (5, "cpu")
    assert provenance.config["tier"]["description"] == "mine"
    assert provenance.config["output_dir"] == str(folder)
    assert {"python", "torch", "numpy", "pillow", "lightning", "tierexp"} <= set(
        provenance.versions
    )


@pytest.mark.whole
def test_results_do_not_depend_on_batches_or_workers(tmp_path: Path) -> None:
    runs = []
    for name, overrides in {
        "one": ["data.batch_size=1", "results.columns=parquet"],
        "all": ["data.batch_size=9"],
        "workers": ["data.num_workers=2"],
    }.items():
        (tmp_path / name).mkdir()
        _, results = evaluated(tmp_path / name, *overrides)
        columns = isinstance(results.per_sample_results, StoredSamples)
        assert columns == ("results.columns=parquet" in overrides)
        results = dataclasses.replace(results, per_sample_results=(*results.per_sample_results,))
        runs.append(
            dataclasses.replace(
                results, samples_per_second=None, provenance=runs[0].provenance
            ) if runs else dataclasses.replace(results, samples_per_second=None)
        )  # fmt: skip
    assert runs[0] == runs[1] == runs[2]


def test_logged_figures_are_those_of_the_results_file(
    run: tuple[Path, Outcome, EvaluationResults],
) -> None:
    """Two ways to one number: torchmetrics batch by batch, numpy over the records."""
    folder, _, results = run
    with (folder / "csv" / "metrics.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert results.accuracy_ci95 is not None
    expected = {
        "accuracy": results.accuracy,
        "accuracy_read": results.accuracy_by_task["read"].accuracy,
        "accuracy_count": results.accuracy_by_task["count"].accuracy,
        "accuracy_ci95_low": results.accuracy_ci95[0],
        "accuracy_ci95_high": results.accuracy_ci95[1],
        "mismatch_mean": results.aspect_ratio_mismatch_mean,
        "mismatch_p95": results.aspect_ratio_mismatch_p95,
        "utilization_mean": results.utilization_mean,
        "crop_utilization_mean": results.crop_utilization_mean,
        "selected_crops_mean": results.selected_crops_mean,
        "selected_vision_tokens_mean": results.selected_vision_tokens_mean,
        "actual_vision_tokens_mean": results.actual_vision_tokens_mean,
        "llm_vision_tokens_mean": results.llm_vision_tokens_mean,
        "content_kept_mean": results.content_kept_mean,
        "padding_fraction_mean": results.padding_fraction_mean,
        "num_samples": results.num_samples,
        "num_failed": results.num_failed,
        "samples_per_second": results.samples_per_second,
    }
    logged = {key.removeprefix("test/"): float(row[key]) for key in row if key[:5] == "test/"}
    assert logged == pytest.approx(expected, rel=1e-6)


@pytest.mark.whole
def test_padding_lowers_the_utilization(tmp_path: Path) -> None:
    _, results = evaluated(tmp_path, "resize=letterbox", "tier=fixed_720")
    assert not results.resize_to_fill
    wide = results.per_sample_results[0]
    # 640 x 480 on a canvas of 560 x 560: 560 x 420, that is 70 rows of padding above and below,
    # in which crop rows of 28 pixel tokens see nothing: 2 full ones on either side of 2 crops.
    assert wide.padding_fraction == pytest.approx(0.25)
    assert wide.actual_crop_tokens == 4 * (144 - 2 * 12)


@pytest.mark.whole
def test_an_unreadable_image_can_end_the_run(tmp_path: Path) -> None:
    outcome = run_on_fakes(tmp_path, SAMPLES, TABLE, "logger=none", "data.on_error=raise")
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert outcome.err.startswith("error: sample s")
    assert "not an image" in outcome.err or "truncated" in outcome.err
    assert not list((tmp_path / "out").glob("*.json"))


def test_a_run_in_which_every_sample_fails_says_so(tmp_path: Path) -> None:
    samples = [[NO_IMAGE, "q", ["a"], "read"], [TRUNCATED, "q", ["a"], "read"]]
    outcome = run_on_fakes(tmp_path, samples, TABLE, "logger=none")
    assert outcome.code == 1
    assert outcome.err == "error: all 2 samples failed, the first, s0: not an image\n"
    (path,) = (tmp_path / "out").glob("*.json")
    assert load_results(path).num_failed == 2


@pytest.mark.whole
def test_ctrl_c_keeps_what_was_measured(tmp_path: Path) -> None:
    samples = [[SQUARE, f"q{index}", ["a"], "read"] for index in range(6)]
    table = {f"q{index}": "a" for index in range(6)} | {"q4": CTRL_C}
    outcome = run_on_fakes(tmp_path, samples, table, "logger=none", "data.batch_size=2")
    assert outcome.code == 130
    said, how = outcome.err.splitlines()
    assert said == "interrupted"
    (path,) = (tmp_path / "out").glob("*.json")
    assert path.name.startswith("interrupted_")
    assert [s.sample_id for s in load_results(path).per_sample_results] == ["s0", "s1", "s2", "s3"]
    # The command as it was, with the folder of the run: it goes on, to where the same happens.
    command = shlex.split(how.removeprefix("to go on:  python eval.py "))
    assert command[-2:] == [f"output_dir={tmp_path / 'out'}", "resume=true"]
    again = run_eval(*command)
    assert (again.code, again.err) == (130, outcome.err)
    assert "4 of 6 samples" not in again.out


def test_the_console_says_what_counts(run: tuple[Path, Outcome, EvaluationResults]) -> None:
    folder, outcome, _ = run
    (path,) = folder.glob("*.json")
    assert f"results  {path}\n" in outcome.out
    assert f"metrics  {folder / 'csv'}" in outcome.out
    assert "6 of 6 samples" in outcome.out
    for noise in ("GPU available", "Tip", "num_workers", "warn"):
        assert noise not in outcome.out
