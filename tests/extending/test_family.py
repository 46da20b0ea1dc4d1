"""A family of one's own, plugged in through a folder of configuration alone."""

from __future__ import annotations

from pathlib import Path

from tests.support.command_line import ARGUMENTS, assert_refused, run_eval
from tierexp.results.files import load_results
from tierexp.results.schema import EvaluationResults

MY = Path(__file__).parent / "my"
FEW = ("data=tierqa", "tier=low", "data.max_samples=14", *ARGUMENTS)


def results(folder: Path, *arguments: str) -> EvaluationResults:
    outcome = run_eval(*FEW, f"output_dir={folder}", *arguments)
    assert (outcome.code, outcome.err) == (0, "")
    (path,) = folder.glob("*_tier-*.json")
    return load_results(path)


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


def test_a_model_that_lacks_methods_costs_one_line(tmp_path: Path) -> None:
    mine = ("--config-dir", str(MY), "model=no_model", f"output_dir={tmp_path}")
    assert_refused(
        run_eval(*FEW, *mine), ["model._target_", "a ModelSource; this one lacks", "load"]
    )


def test_data_without_a_length_costs_one_line(tmp_path: Path) -> None:
    mine = ("--config-dir", str(MY), "model=tiny", "data=no_length", f"output_dir={tmp_path}")
    outcome = run_eval(*(a for a in FEW if not a.startswith("data")), *mine)
    assert_refused(outcome, ["data._target_", "__len__"])
