"""Tier, reduction and knobs in one sweep: every run is a point, which a policy may take."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import pytest

from tests.support.command_line import assert_refused, run_eval
from tierexp.policies.sweep import Sweep, read_sweep
from tierexp.report.comparison import runs_below
from tierexp.results.files import load_results
from tierexp.results.schema import EvaluationResults
from tierexp.tiers.files import load_tier
from tierexp.tiers.geometry import CropGeometry
from tierexp.tiers.selection import select_crops
from tierexp.tiers.threshold import Threshold

QUIET = ("data.max_samples=3", "data.num_workers=0", "logger=none", "trainer=cpu")
REDUCED = "reduction=diverse:50%"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crossings")
    swept = run_eval(
        "-m", "tier=low,medium", "reduction=none,diverse", "reduction.keep=0.5", "model.top_k=1,2",
        "model.num_active_blocks=3,4", *QUIET, f"output_dir={folder}",
    )  # fmt: skip
    assert swept.code == 0, swept.err
    return folder


def of_point(sweep: Sweep, runs: list[EvaluationResults], point: str) -> EvaluationResults:
    """The run that a point is, found by what its results say."""
    tier, top_k, blocks, *reduction = point.split()
    half = "diverse 50 %" if " ".join(reduction) == REDUCED else None
    (found,) = (
        run
        for run in runs
        if (run.tier, f"top_k={run.top_k}", f"num_active_blocks={run.num_active_blocks}")
        == (tier, top_k, blocks)
        and run.knobs.get("reduction") == half
    )
    return found


@pytest.mark.slow
def test_every_run_is_a_point_of_its_own(folder: Path) -> None:
    sweep, runs = read_sweep(folder), runs_below(folder)
    names = product(("low", "medium"), (1, 2), (3, 4), ("", f" {REDUCED}"))
    assert set(sweep.points) == {
        f"{tier} top_k={k} num_active_blocks={blocks}{written}"
        for tier, k, blocks, written in names
    }
    folders = sorted(path.parent.name for path in folder.glob("*/tierqa_*.json"))
    assert folders[0] == "0_model.num_active_blocks-3_model.top_k-1_reduction-none_tier-low"
    for column, point in enumerate(sweep.points):
        run = of_point(sweep, runs, point)
        assert sweep.cost("llm_vision_tokens")[:, column].tolist() == [
            sample.llm_vision_tokens for sample in run.per_sample_results
        ]
        for sample in run.per_sample_results:
            whole = sample.unreduced_vision_tokens
            expected = int(0.5 * whole + 0.5) if REDUCED in point else whole
            assert sample.llm_vision_tokens == expected
    # What keeps every token has none of the settings that the sweep's others read.
    plain = [run for run in runs if "reduction" not in run.knobs]
    assert {run.provenance.config["reduction"]["keep"] for run in plain} == {None}
    assert len({run.file_name for run in runs}) == 16
    compared = json.loads((folder / "comparison.json").read_text("utf-8"))
    assert len({json.dumps(run["knobs"]) + run["tier"] for run in compared["runs"]}) == 16


POINTS = [f"low top_k=1 num_active_blocks=3 {REDUCED}", "medium top_k=2"]


def asked_twice(folder: Path) -> EvaluationResults:
    """A cascade over both points; so sure is no answer: every question is asked again."""
    quoted = ",".join(f"'{point}'" for point in POINTS)
    outcome = run_eval(
        "policy=cascade", f"policy.points=[{quoted}]", "policy.thresholds=[1]", *QUIET,
        f"output_dir={folder}",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    (file,) = folder.glob("tierqa_*.json")
    return load_results(file)


@pytest.mark.whole
def test_a_policy_takes_points_that_reduce(tmp_path: Path) -> None:
    geometry = CropGeometry()
    for sample in asked_twice(tmp_path).per_sample_results:
        (earlier,) = sample.earlier_passes
        width, height = sample.original_image_size
        low = select_crops(load_tier("low"), height, width, geometry, Threshold())
        half = int(0.5 * geometry.llm_vision_tokens(low.tiling) + 0.5)
        assert (earlier.point, earlier.llm_vision_tokens) == (POINTS[0], half)
        whole = geometry.llm_vision_tokens(sample.selected_tiling)
        assert (sample.point, sample.llm_vision_tokens) == (POINTS[1], whole)
        assert sample.knobs == {"top_k": 2, "num_active_blocks": 4}


@pytest.mark.slow
def test_its_answers_are_the_sweep_s(folder: Path, tmp_path: Path) -> None:
    sweep, runs, results = read_sweep(folder), runs_below(folder), asked_twice(tmp_path)
    before, last = (
        of_point(sweep, runs, point) for point in (POINTS[0], "medium top_k=2 num_active_blocks=4")
    )
    for sample, first, second in zip(
        results.per_sample_results, before.per_sample_results, last.per_sample_results, strict=True
    ):
        (earlier,) = sample.earlier_passes
        assert earlier.prediction == first.prediction
        assert earlier.confidence == pytest.approx(first.confidence, abs=1e-5)
        assert earlier.llm_vision_tokens == first.llm_vision_tokens
        assert sample.prediction == second.prediction
        assert sample.llm_vision_tokens == second.llm_vision_tokens


@pytest.mark.whole
@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        # One run of none would be many.
        (
            ["-m", "reduction=none,diverse", "reduction.keep=0.5,0.25"],
            ["reduction='none'", "reduction.keep=1"],
        ),
        (["-m", "tier=low,high", "reduction.keep=0.5"], ["reduction.keep=0.5", "reduction=none"]),
        (
            ["policy=cascade", "policy.thresholds=[1]",
             "policy.points=[low,'high reduction=diverse:7,kep=1']"],
            ["kep=1", "diverse:357"],
        ),
        (
            ["policy=cascade", "policy.thresholds=[1]",
             "policy.points=['low reduction=stride:high',high]"],
            ["reduction.match='high'", "at most"],
        ),
        (
            ["policy=cascade", "policy.thresholds=[1]", "policy.points=[low,'high heat=1']"],
            ["model.heat=1"],
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line(tmp_path: Path, overrides: list[str], words: list[str]) -> None:
    assert_refused(run_eval(*overrides, *QUIET, f"output_dir={tmp_path}"), words)
