"""By what runs differ: told from their settings, whatever results say of themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.support.results import LANDSCAPE, results_of
from tierexp.report.compared import ComparedRun, compared
from tierexp.report.varying import comparable, run_labels, varying

BASE: dict[str, Any] = {
    "tier": {"name": "medium", "min_crops": 4},
    "threshold": {"_target_": "tierexp.tiers.threshold.Threshold", "value": 0.3},
    "model": {"top_k": None, "block_policy": "first"},
    "data": {"max_samples": 4, "num_workers": 0},
    "output_dir": "a",
}


def run(name: str = "medium", **changed: Any) -> ComparedRun:
    results = results_of(LANDSCAPE)
    provenance = replace(results.provenance, config=BASE | changed)
    return compared(replace(results, tier=name, provenance=provenance))


def test_tiers_places_and_workers_make_no_difference() -> None:
    others = {"data": {"max_samples": 4, "num_workers": 2}, "output_dir": "b"}
    runs = [run(), run("high", tier={"name": "high", "min_crops": 9}, **others)]
    assert varying(runs) == {}
    assert comparable(runs)
    assert run_labels(runs) == ["medium", "high"]


def test_any_other_setting_does() -> None:
    threshold = {"_target_": "tierexp.tiers.threshold.Threshold", "value": 0}
    policy = {"top_k": None, "block_policy": "uniform"}
    runs = [run(), run(threshold=threshold), run(model=policy)]
    assert varying(runs) == {
        "threshold.value": ["0.3", "0", "0.3"],
        "model.block_policy": ["first", "first", "uniform"],
    }
    assert not comparable(runs)
    assert run_labels(runs) == [
        "medium · threshold.value 0.3 · model.block_policy first",
        "medium · threshold.value 0 · model.block_policy first",
        "medium · threshold.value 0.3 · model.block_policy uniform",
    ]


def test_tiers_of_one_name_can_differ() -> None:
    wider = run(tier={"name": "medium", "min_crops": 5})
    assert varying([run(), wider]) == {"tier.min_crops": ["4", "5"]}
    assert run_labels([run(), wider]) == ["medium · tier.min_crops 4", "medium · tier.min_crops 5"]


def test_precision_can_change_an_answer_and_the_device_s_name_is_elsewhere() -> None:
    runs = [run(trainer={"precision": p, "accelerator": a}) for p, a in ((16, "gpu"), (32, "cpu"))]
    assert varying(runs) == {"trainer.precision": ["16", "32"]}


def test_knobs_are_told_by_what_they_came_to() -> None:
    spelled = {"top_k": 2, "block_policy": "first"}
    assert varying([run(), run(model=spelled)]) == {}  # null was 2, too
    facts = run().facts
    runs = [
        replace(run(), facts={**facts, "top_k": "2"}),
        replace(run(), facts={**facts, "top_k": "1", "num_active_blocks": "3"}),
    ]
    labels = run_labels(runs)
    assert labels[0].startswith("medium · top 2 · ")
    assert labels[1] == "medium · top 1 · 3 blocks"


def test_what_a_run_does_not_say_is_no_difference() -> None:
    other = run(threshold={"value": 0})
    settings = {k: v for k, v in run().settings.items() if not k.startswith("threshold")}
    old = replace(run(), settings=settings)
    assert varying([run(), old]) == {}
    assert varying([run(), old, other])["threshold.value"] == ["0.3", "-", "0"]
