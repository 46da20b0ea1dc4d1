"""A family of one's own, plugged in through a folder of configuration alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import tierexp
from tests.support import random_checkpoints
from tests.support.command_line import ARGUMENTS, assert_refused, run_eval
from tierexp.models.plans.registry import preset
from tierexp.results.files import load_results
from tierexp.results.schema import EvaluationResults

MY = Path(__file__).parent / "my"
FEW = ("data=tierqa", "tier=fixed_288", "data.max_samples=2", *ARGUMENTS)


def results(folder: Path, *arguments: str) -> EvaluationResults:
    outcome = run_eval(*FEW, f"output_dir={folder}", *arguments)
    assert (outcome.code, outcome.err) == (0, "")
    (path,) = folder.glob("*_tier-*.json")
    return load_results(path)


@pytest.mark.whole
def test_molmo_by_another_name(tmp_path: Path) -> None:
    timed = ("latency=on", "latency.repeats=1", "latency.warmup=0", "model.num_active_blocks=3")
    mine = ("--config-dir", str(MY), "model=other_molmo")
    other = results(tmp_path / "other", *mine, *timed)
    tiny = results(tmp_path / "tiny", "model=tiny", "model.num_active_blocks=3")
    assert (other.model, tiny.model) == ("other", "tiny")
    assert [(s.prediction, s.selected_tiling) for s in other.per_sample_results] == [
        (s.prediction, s.selected_tiling) for s in tiny.per_sample_results
    ]
    assert (other.num_active_blocks, other.top_k) == (3, None)
    # It does not know what it costs: the times are there, the operations are not.
    assert other.latency is not None
    assert other.latency.flops_mean == {}
    assert other.latency.stages["T_total"].mean > 0


@pytest.mark.whole
def test_a_family_of_transformers_by_another_name(tmp_path: Path) -> None:
    """Its own processor settings are what the library's processor is called with: a plan of twelve
    crops would not be followed."""
    random_checkpoints.internvl3_5(tmp_path / "it")
    how = (f"model.checkpoint={tmp_path / 'it'}", "model.max_new_tokens=2", "tier=native")
    few = [argument for argument in FEW if not argument.startswith(("tier", "data.max"))]
    outcome = run_eval(
        *few, "data.max_samples=1", "--config-dir", str(MY), "model=fewer_crops", *how,
        f"output_dir={tmp_path / 'out'}",
    )  # fmt: skip
    assert (outcome.code, outcome.err) == (0, "")
    (path,) = (tmp_path / "out").glob("*_tier-*.json")
    found = load_results(path)
    assert (found.model, found.num_samples, found.num_failed) == ("fewer_crops", 1, 0)
    (sample,) = found.per_sample_results
    width, height = sample.original_image_size
    published = preset("internvl").geometry.plan(height, width)
    assert published.images > 7
    assert sample.metrics["selected_crops"] <= 6
    answer = tierexp.load_model(tmp_path / "it", device="cpu").answer(
        np.zeros((height, width, 3), np.uint8), "What?", tier=None, max_new_tokens=1
    )
    assert answer.llm_vision_tokens == published.vision_tokens > sample.metrics["llm_vision_tokens"]


@pytest.mark.whole
def test_what_a_family_of_ones_own_costs_needs_no_model(tmp_path: Path) -> None:
    outcome = run_eval(
        "--config-dir", str(MY), "model=none", "model.family=fewer_crops.FAMILY", "tier=native",
        "data=tierqa", "data.max_samples=7", f"output_dir={tmp_path}",
    )  # fmt: skip
    assert (outcome.code, outcome.err) == (0, "")
    (path,) = tmp_path.glob("*.json")
    results = json.loads(path.read_text())
    assert max(map(int, results["selected_crops_distribution"])) <= 6


@pytest.mark.parametrize(
    ("family", "words"),
    [
        ("no_such", "one of aria, aya"),
        ("fewer_crops.FAMILIES", "the path of a class"),
        ("fewer_crops.Preset", "the path of a Family, not of a type"),
    ],
)
def test_what_is_no_family_costs_one_line(tmp_path: Path, family: str, words: str) -> None:
    outcome = run_eval(
        "--config-dir", str(MY), "model=none", f"model.family={family}", f"output_dir={tmp_path}",
    )  # fmt: skip
    assert_refused(outcome, ["model.family=", words])


def test_a_model_that_lacks_methods_costs_one_line(tmp_path: Path) -> None:
    mine = ("--config-dir", str(MY), "model=no_model", f"output_dir={tmp_path}")
    assert_refused(
        run_eval(*FEW, *mine), ["model._target_", "a ModelSource; this one lacks", "load"]
    )


@pytest.mark.whole
def test_data_without_a_length_costs_one_line(tmp_path: Path) -> None:
    mine = ("--config-dir", str(MY), "model=tiny", "data=no_length", f"output_dir={tmp_path}")
    outcome = run_eval(*(a for a in FEW if not a.startswith("data")), *mine)
    assert_refused(outcome, ["data._target_", "__len__"])
