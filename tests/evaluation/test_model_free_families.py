"""`model=none model.family=...`: tiers and native rules of other families, without a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.command_line import run_eval
from tierexp.models.plans.registry import preset
from tierexp.models.plans.token_tiers import family_tier
from tierexp.results.model_free import ModelFreeResults, load_model_free_results
from tierexp.tiers.files import load_tier
from tierexp.tiers.tier import Tier

SIZES = [(480, 640), (640, 480), (1080, 1920), (2000, 300), (3, 2000)]


@pytest.fixture
def sizes(tmp_path: Path) -> Path:
    file = tmp_path / "sizes.csv"
    lines = [f"{height},{width}" for height, width in SIZES]
    file.write_text("\n".join(["height,width", *lines]), encoding="utf-8")
    return file


def run(sizes: Path, *arguments: str) -> ModelFreeResults:
    out = sizes.parent / "out"
    done = run_eval(
        "model=none", "data=sizes", f"data.path={sizes}", f"output_dir={out}", *arguments
    )
    assert done.code == 0, done.err
    (file,) = out.glob("*.json")
    return load_model_free_results(file)


def test_a_tier_in_a_family_of_cells(sizes: Path) -> None:
    results = run(sizes, "model.family=qwen3_vl", "tier=medium")
    assert results.model == "none-qwen3_vl"
    assert results.file_name == "sizes_tier-medium_crops1_family-qwen3_vl_model-none.json"
    assert results.num_samples == len(SIZES)
    medium = load_tier("medium")
    assert isinstance(medium, Tier)
    planned = family_tier(preset("qwen3_vl").geometry, medium).plan_many(*np.array(SIZES).T)
    tokens = [planned.choices[index].plan.vision_tokens for index in planned.chosen]
    assert results.selected_vision_tokens_mean == pytest.approx(np.mean(tokens))
    assert results.llm_vision_tokens_mean == pytest.approx(np.mean(tokens))
    assert results.aspect_ratio_mismatch_mean == pytest.approx(planned.mismatch.mean())
    assert results.content_kept_mean == pytest.approx(planned.content_kept.mean())
    assert results.utilization_mean == 1
    assert results.padding_fraction_mean == 0


@pytest.mark.whole
def test_a_tier_in_a_family_of_crops(sizes: Path) -> None:
    results = run(sizes, "model.family=internvl", "tier=high", "resize=stretch")
    # 2 x 3 and 3 x 2, 2 x 4, and for both long ones 8 x 1 and 1 x 8.
    assert results.selected_crops_distribution == {6: 2, 7: 1, 8: 2}
    assert results.content_kept_mean == 1


@pytest.mark.whole
def test_a_familys_own_rule(sizes: Path) -> None:
    results = run(sizes, "model.family=qwen3_vl", "tier=native")
    plans = preset("qwen3_vl").geometry.plan_many(*np.array(SIZES[:4]).T)
    assert results.selected_vision_tokens_mean == plans.vision_tokens.mean()
    assert results.utilization_mean is None
    assert results.padding_fraction_mean is None
    # The banner of 2000 x 3 pixels is refused by the family's processor: it counts as failed.
    assert results.num_samples == 4
    (failure,) = results.failures
    assert failure.sample_id == "image 5"
    assert "refuses images of 2000 x 3 pixels" in failure.reason


def test_molmo_is_what_stands_there_otherwise(sizes: Path) -> None:
    results = run(sizes, "model.family=molmo", "tier=medium")
    assert results.model == "none"
    assert results.file_name.endswith("_model-none.json")
    assert results.padding_fraction_mean is not None


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["model.family=nobody"], "model.family='nobody' is not possible: one of aria"),
        (["model.family=internvl", "tier=low"], "the nearest are of 256 and 768"),
        (["model.family=qwen3_vl", "threshold=strict"], "with a model.family"),
        (["model.family=qwen3_vl", "resize=letterbox"], "resize.crops='letterbox'"),
    ],
)
def test_what_cannot_be_costs_one_line(sizes: Path, arguments: list[str], told: str) -> None:
    done = run_eval("model=none", "data=sizes", f"data.path={sizes}", *arguments)
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert told in done.err
