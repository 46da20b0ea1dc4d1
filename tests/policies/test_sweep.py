"""Reading a static sweep: what must match does, and what is missing is said in one line."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.policy_sweeps import run, sweep, without, write_sweep
from tierexp.errors import ConfigError, DataError
from tierexp.policies.costs import parse_budget
from tierexp.policies.sweep import point_names, read_sweep, sweep_of


def test_points_are_in_the_order_of_their_cost_and_rows_match(tmp_path: Path) -> None:
    write_sweep(tmp_path, images=6, points=("high", "low", "medium"))
    read = read_sweep(tmp_path)
    assert read.points == ("low", "medium", "high")
    for column, point in enumerate(read.points):
        samples = {s.sample_id: s for s in run(point, images=6).per_sample_results}
        for row, name in enumerate(read.sample_ids):
            sample = samples[name]
            assert read.accuracy[row, column] == sample.accuracy
            assert read.questions[row] == sample.question
            assert (
                read.cost("llm_vision_tokens")[row, column] == sample.metrics["llm_vision_tokens"]
            )
            assert tuple(read.tilings[row, column]) == sample.selected_tiling
            assert read.confidence[row, column] == sample.metrics["confidence"]
            assert tuple(read.sizes[row]) == sample.original_image_size[::-1]


def test_other_sweeps_are_refused(tmp_path: Path) -> None:
    one, other = run("low", images=5), run("medium", images=5)
    with pytest.raises(DataError, match="differ in dataset"):
        sweep_of([one, run("medium", "test", 5)], "here")
    with pytest.raises(DataError, match="differ in model"):
        sweep_of([one, run("medium", images=5, model="molmo")], "here")
    with pytest.raises(DataError, match="point low 2 times"):
        sweep_of([one, one], "here")
    with pytest.raises(DataError, match="not a folder"):
        read_sweep(tmp_path / "nothing")
    with pytest.raises(DataError, match="holds 0 results files"):
        read_sweep(tmp_path)
    half = without(other, other.per_sample_results[:17])
    with pytest.raises(DataError, match="point medium lacks 17 of 35 samples: validation-000000-0"):
        sweep_of([one, half], "here")


def test_a_failed_sample_is_left_out_everywhere() -> None:
    one, other = run("low", images=5), run("medium", images=5)
    rest = sweep_of([one, without(other, other.per_sample_results[3:4])], "here")
    assert len(rest) == 34
    assert rest.left_out == 1
    assert one.per_sample_results[3].sample_id not in rest.sample_ids


def test_points_with_knobs_have_them_in_their_names() -> None:
    runs = [run("low", images=5, top_k=1), run("low", images=5), run("high", images=5)]
    assert set(sweep_of(runs, "here").points) == {"low top_k=1", "low top_k=2", "high top_k=2"}


def test_a_decoder_that_is_no_stack_of_blocks_counts_as_one() -> None:
    runs = [
        dataclasses.replace(run(point, images=2), num_active_blocks=None)
        for point in ("low", "high")
    ]
    assert sweep_of(runs, "memory").num_active_blocks.tolist() == [1, 1]


def test_units_that_results_do_not_hold_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"policy\.unit='latency_ms'.*latency=on"):
        sweep(images=5).cost("latency_ms")
    timed = read_sweep(write_sweep(tmp_path, images=5, timed=True))
    views = timed.tilings.prod(axis=2) + 1
    tokens = timed.cost("llm_vision_tokens")
    assert timed.cost("latency_ms") == pytest.approx(2 * views + 1 + 0.02 * tokens + 12)
    assert timed.cost("flops") == pytest.approx(1000 * views + 100 * tokens + 40)
    assert timed.shared["flops"] == pytest.approx(np.full(views.shape, 1000.0))
    assert timed.shared["latency_ms"].sum() == 0


def test_points_are_chosen_by_name() -> None:
    three = sweep(images=5)
    two = three.choose(["high", "low"])
    assert two.points == ("low", "high")
    assert (two.accuracy == three.accuracy[:, [0, 2]]).all()
    assert (two.asked.tilings == three.tilings[:, [0, 2]]).all()
    with pytest.raises(ConfigError, match="the results hold the points low, medium, high"):
        three.choose(["low", "native"])
    with pytest.raises(ConfigError, match="two points or more"):
        three.choose(["low"])


def test_older_results_are_a_sweep_too(tmp_path: Path) -> None:
    def older(tokens: int, scores: list[float]) -> None:
        samples: list[dict[str, Any]] = [
            {
                "sample_id": n, "target_vision_tokens": tokens, "actual_vision_tokens": tokens,
                "actual_tiling": [2, 3], "accuracy": score, "output_tokens": 3,
                "T_vision_total": 9.0, "T_LLM_prefill": 5.0, "T_LLM_decode": 2.0,
                "T_total": tokens / 10,
                "metadata": {"question": "Who?", "image_size": [640, 480]},
            }
            for n, score in enumerate(scores)
        ]  # fmt: skip
        name = f"vqa_visiontoken{tokens}_topk8_blocks14.json"
        content = {"top_k": 8, "num_active_blocks": 14, "per_sample_results": samples}
        (tmp_path / name).write_text(json.dumps(content))

    older(432, [0.0, 1.0, 0.5])
    older(1008, [1.0, 1.0, 0.0])
    read = read_sweep(tmp_path)
    assert read.points == ("fixed_432", "fixed_1008")
    assert read.accuracy.tolist() == [[0, 1], [1, 1], [0.5, 0]]
    assert read.cost("latency_ms").tolist() == [[43.2, 100.8]] * 3
    assert read.sizes.tolist() == [[480, 640]] * 3
    assert np.isnan(read.confidence).all()
    with pytest.raises(ConfigError, match="the results hold selected_vision_tokens, latency_ms"):
        read.cost("llm_vision_tokens")


def test_a_budget_is_a_number_or_a_share() -> None:
    assert parse_budget(700, 1200.0) == 700
    assert parse_budget("700", 1200.0) == 700
    assert parse_budget("0.5x", 1200.0) == 600
    for wrong in ("x", "half", -3, 0, None, True, [700], "nan", "0x"):
        with pytest.raises(ConfigError, match=r"policy\.budget"):
            parse_budget(wrong, 1200.0)


def test_the_cheapest_rows_of_a_sweep() -> None:
    three = sweep(images=5)
    rows = np.array([4, 2])
    few = three.select(rows)
    assert few.sample_ids == (three.sample_ids[4], three.sample_ids[2])
    for name in ("accuracy", "mismatch", "tilings", "sizes"):
        assert (getattr(few, name) == getattr(three, name)[rows]).all()
    assert dataclasses.asdict(few.asked)["texts"] == (three.questions[4], three.questions[2])


def test_a_reduction_is_part_of_a_points_name() -> None:
    plain, reduced = run("low", images=1), run("high", images=1)
    config = {"reduction": {"_target_": "x.DiverseTokens", "keep": None, "match": "low"}}
    reduced = dataclasses.replace(
        reduced,
        knobs=reduced.knobs | {"reduction": "diverse 357"},
        provenance=dataclasses.replace(reduced.provenance, config=config),
    )
    half = dataclasses.replace(
        reduced,
        knobs=reduced.knobs | {"reduction": "fastv 50 %"},
        provenance=dataclasses.replace(
            reduced.provenance, config={"reduction": {"keep": 0.5, "block": 3}}
        ),
    )
    assert point_names([plain, reduced, half]) == [
        "low", "high reduction=diverse:357", "high reduction=fastv:50%,block=3",
    ]  # fmt: skip
    assert point_names([reduced, half])[0] == "high reduction=diverse:357"
