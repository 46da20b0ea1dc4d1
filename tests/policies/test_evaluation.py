"""`eval.py policy=...` for real: every sample gets the points and score that its replay says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.command_line import Outcome, assert_refused, run_command, run_eval
from tierexp.policies.commands import fit
from tierexp.policies.costs import answer_cost
from tierexp.policies.policy_file import policy_of, read_policy
from tierexp.policies.replay import frontier, replay
from tierexp.policies.sweep import read_sweep
from tierexp.results.files import load_results
from tierexp.results.policy_record import PolicyRecord

pytestmark = pytest.mark.whole
"""`test_live` asks policies without a run."""

UNIT, SELECTED = "llm_vision_tokens", "selected_vision_tokens"
QUIET = ("data.max_samples=49", "data.num_workers=0", "logger=none", "trainer=cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A static sweep over seven pictures and the policies that fit it."""
    folder = tmp_path_factory.mktemp("live")
    swept = run_eval("-m", "tier=fixed_288,fixed_720", *QUIET, f"output_dir={folder / 'sweep'}")
    assert swept.code == 0, swept.err
    for policy in ("router", "cascade", "mixture"):
        fast = ("policy.trees=40",) if policy == "router" else ()
        fitted = run_command(
            fit, "fit_policy", f"policy={policy}", *fast, f"results={folder / 'sweep'}",
            f"output_dir={folder}",
        )  # fmt: skip
        assert fitted.code == 0, fitted.err
    return folder


def evaluated(folder: Path, policy: str, *arguments: str) -> Outcome:
    return run_eval(
        f"policy={policy}", f"policy.file={folder / f'{policy}.json'}", *QUIET,
        f"output_dir={folder / policy}", *arguments,
    )  # fmt: skip


@pytest.mark.parametrize("policy", ["router", "cascade", "mixture"])
def test_a_run_and_its_replay_agree_sample_by_sample(folder: Path, policy: str) -> None:
    sweep = read_sweep(folder / "sweep")
    decided = replay(policy_of(read_policy(folder / f"{policy}.json"), sweep), sweep, UNIT)
    low, high = sweep.cost(UNIT).mean(axis=0)
    budget = round(float(low + 0.8 * (high - low)), 3)
    decision = decided.plan(budget)
    assert len(set(decision.final)) == 2  # else there is nothing to agree on
    outcome = evaluated(folder, policy, f"policy.budget={budget}")
    assert outcome.code == 0, outcome.err
    (file,) = (folder / policy).glob("*_tier-*.json")
    samples = {sample.sample_id: sample for sample in load_results(file).per_sample_results}
    assert set(samples) == set(sweep.sample_ids)
    for row, name in enumerate(sweep.sample_ids):
        sample = samples[name]
        assert sample.point == sweep.points[decision.final[row]]
        run = [*(one.point for one in sample.earlier_passes), sample.point]
        assert run == [sweep.points[n] for n in np.flatnonzero(decision.passes[row])]
        assert sample.accuracy == sweep.accuracy[row, decision.final[row]]
        paid = sum(one.llm_vision_tokens for one in sample.earlier_passes)
        spent = decision.cost(sweep, UNIT)[row]
        assert paid + sample.number("llm_vision_tokens") == spent
        # The global view is encoded once, however many passes follow.
        assert answer_cost(sample, SELECTED) == decision.cost(sweep, SELECTED)[row]
    assert_recorded(load_results(file).policies, frontier(decided, [budget])[0])
    assert f"{budget:.4g}" in outcome.out


def assert_recorded(records: tuple[PolicyRecord, ...], replayed: PolicyRecord) -> None:
    (record,) = records
    assert (record.policy, record.points, record.unit) == (
        replayed.policy, replayed.points, replayed.unit
    )  # fmt: skip
    assert record.share_of_points == replayed.share_of_points
    for name in ("budget", "mean_cost", "accuracy", "ci95"):
        assert getattr(record, name) == pytest.approx(getattr(replayed, name)), name
    assert record.above_mixture is None  # the other points have not answered here


def test_a_run_without_a_policy_has_no_record(folder: Path) -> None:
    for file in (folder / "sweep").rglob("*_tier-*.json"):
        assert load_results(file).policies == ()


def test_a_point_may_throw_tokens_away(tmp_path: Path) -> None:
    few = ("data.max_samples=7", *QUIET[1:])
    static = run_eval(
        "tier=medium", "reduction=diverse", "reduction.tokens=100", *few,
        f"output_dir={tmp_path / 'static'}",
    )  # fmt: skip
    assert static.code == 0, static.err
    # No answer is as sure as this: all come to the second point.
    chosen = run_eval(
        "policy=cascade", "policy.points=[fixed_288,'medium reduction=diverse:100']",
        "policy.thresholds=[1.0]", *few, f"output_dir={tmp_path / 'chosen'}",
    )  # fmt: skip
    assert chosen.code == 0, chosen.err
    alone, last = (
        load_results(next((tmp_path / name).glob("*_tier-*.json"))).per_sample_results
        for name in ("static", "chosen")
    )
    for one, other in zip(alone, last, strict=True):
        assert one.prediction == other.prediction
        assert one.metrics["confidence"] == pytest.approx(other.metrics["confidence"], abs=1e-5)
        assert other.metrics["llm_vision_tokens"] == 100
        assert other.knobs["reduction"] == "diverse 100"
        assert other.earlier_passes[0].llm_vision_tokens > 100
    both = run_eval("policy=cascade", "policy.points=[low,high]", "policy.thresholds=[-1.0]",
                    "reduction=diverse", "reduction.tokens=9", *few)  # fmt: skip
    assert_refused(both, ["reduction=", "diverse", "its points say"])


def test_mistakes_are_one_line_before_anything_runs(folder: Path) -> None:
    dear = evaluated(folder, "router", "policy.budget=5000", "overwrite=true")
    assert_refused(dear, ["policy.budget", "fixed_720"])
    assert_refused(run_eval("policy=router", *QUIET), ["policy.file", "fit_policy.py"])
    assert_refused(run_eval("policy=oracle", *QUIET), ["policy", "replay.py"])
    other = run_eval("policy=router", f"policy.file={folder / 'cascade.json'}", *QUIET)
    assert_refused(other, [f"policy.file='{folder / 'cascade.json'}'", "policy=cascade"])
    nothing = run_eval("policy=router", f"policy.file={folder / 'none.json'}", *QUIET)
    assert_refused(nothing, ["policy.file", "none.json", "there is none"])
    unit = evaluated(folder, "router", "policy.unit=latency_ms", "overwrite=true")
    assert_refused(unit, ["policy.unit", "selected_vision_tokens", "latency=on"])
