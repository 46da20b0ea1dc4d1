"""After a multirun: what the runs say together, on the console, in a file and as an exit code."""

from __future__ import annotations

import json
from pathlib import Path

from tests.command_line import run_on_fakes

LANDSCAPE, SQUARE = [480, 640], [512, 512]
SAMPLES = [[LANDSCAPE, "q0", ["a"], "read"], [SQUARE, "q1", ["a"], "read"]]
TABLE = {"q0": "a", "q1": "b"}


def test_a_multirun_ends_with_its_comparison(tmp_path: Path) -> None:
    outcome = run_on_fakes(
        tmp_path, SAMPLES, TABLE, "-m", "tier=low,medium,fixed_720", "logger=none", "trainer=cpu"
    )
    assert (outcome.code, outcome.err) == (0, "")
    content = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert [run["tier"] for run in content["runs"]] == ["low", "medium", "fixed_720"]
    assert [run["accuracy"] for run in content["runs"]] == [0.5] * 3
    assert "per_sample_results" not in content["runs"][0]
    checks = {check["name"]: check for check in content["validation"]}
    assert set(checks) == {"accuracy_low_to_medium", "mismatch_reduction_fixed_720_to_medium"}
    assert checks["accuracy_low_to_medium"]["met"] is False
    # 640 x 480: 1/3 to 1/6; the square misses nothing in either.
    assert round(checks["mismatch_reduction_fixed_720_to_medium"]["figure"], 6) == 0.5
    assert "comparison" in outcome.out
    assert str(tmp_path / "out" / "comparison.json") in outcome.out


def test_a_single_run_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    outcome = run_on_fakes(tmp_path, SAMPLES, TABLE, "logger=none", "trainer=cpu")
    assert outcome.code == 0
    assert not (tmp_path / "out" / "comparison.json").exists()
    # Its own targets are checked all the same.
    (file,) = (tmp_path / "out").glob("*.json")
    checks = {check["name"] for check in json.loads(file.read_text())["validation"]}
    assert {"mismatch_mean", "utilization_p5"} <= checks
    assert "mismatch mean" in outcome.out


def test_runs_that_differ_in_more_are_listed_and_not_judged(tmp_path: Path) -> None:
    outcome = run_on_fakes(
        tmp_path, SAMPLES, TABLE, "-m", "tier=low,medium", "model.top_k=1,2", "logger=none",
        "trainer=cpu",
    )  # fmt: skip
    assert outcome.code == 0
    content = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert [(run["tier"], run["top_k"]) for run in content["runs"]] == [
        ("low", 1), ("low", 2), ("medium", 1), ("medium", 2),
    ]  # fmt: skip
    assert content["validation"] == []
    assert "top_k" in outcome.out


def test_strict_runs_fail_where_a_target_is_missed(tmp_path: Path) -> None:
    one = run_on_fakes(
        tmp_path, SAMPLES, TABLE, "tier=low", "validate.strict=true", "logger=none", "trainer=cpu"
    )
    assert one.code == 3
    # 640 x 480 in 1 to 3 crops: the low tier's known weakness.
    assert "mismatch_p95 (low)" in one.err
    kept = run_on_fakes(
        tmp_path, [[SQUARE, "q1", ["b"], "read"]], TABLE, "tier=medium", "validate.strict=true",
        "logger=none", "trainer=cpu", f"output_dir={tmp_path / 'met'}",
    )  # fmt: skip
    assert (kept.code, kept.err) == (0, "")


def test_no_other_key_and_no_other_value(tmp_path: Path) -> None:
    for override, words in (
        ("validate.strict=maybe", "true or false"),
        ("+validate.lenient=true", "no such key"),
    ):
        outcome = run_on_fakes(tmp_path, SAMPLES, TABLE, override)
        assert outcome.code == 2
        assert words in outcome.err
