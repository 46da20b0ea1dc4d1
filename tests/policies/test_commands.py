"""`fit_policy.py` and `replay.py` from end to end; a user's mistake is one line."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.command_line import Outcome, assert_refused, run_command
from tests.support.policy_sweeps import write_sweep
from tierexp.config.arguments import name_positional
from tierexp.policies import figure, live
from tierexp.policies.commands import fit, replay_policy
from tierexp.policies.policy_file import read_policy, write_policy
from tierexp.policies.sweep import read_sweep
from tierexp.policies.timed import with_predicted_costs

FAST = ("policy.trees=20", "policy.features=[words,sizes,points]")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("policies")
    write_sweep(folder / "validation", images=20)
    write_sweep(folder / "test", split="test", images=12)
    for policy in ("router", "cascade", "lookup", "mixture"):
        fast = FAST if policy == "router" else ()
        outcome = fitted(folder, f"policy={policy}", *fast)
        assert outcome.code == 0, outcome.err
    return folder


def fitted(folder: Path, *arguments: str, results: str = "validation") -> Outcome:
    return run_command(
        fit, "fit_policy", f"results={folder / results}", f"output_dir={folder / 'fitted'}",
        *arguments,
    )  # fmt: skip


def replayed(folder: Path, *arguments: str, results: str = "test", drawn: bool = False) -> Outcome:
    """Replay one, without the figure that few look at."""
    positional = name_positional([str(folder / results)], "results")
    out = f"output_dir={folder / 'out'}"
    with pytest.MonkeyPatch.context() as patched:
        if not drawn:
            patched.setattr(figure, "write_figure", lambda replayed, path: path)
        return run_command(replay_policy, "replay", *positional, out, *arguments)


def asked(folder: Path, policy: str) -> tuple[str, ...]:
    return f"policy={policy}", f"policy.file={folder / 'fitted' / f'{policy}.json'}"


@pytest.mark.whole
@pytest.mark.parametrize("policy", ["router", "cascade", "lookup", "mixture"])
def test_a_fitted_policy_is_replayed_on_other_questions(folder: Path, policy: str) -> None:
    drawn = policy == "router"
    budget = ("policy.budget=0.6x", "budgets=7")
    outcome = replayed(folder, *asked(folder, policy), *budget, drawn=drawn)
    assert outcome.code == 0, outcome.err
    content = json.loads((folder / "out" / "replay.json").read_text())
    record = content["at_budget"]
    assert set(record) == {
        "policy", "points", "unit", "budget", "mean_cost", "accuracy", "ci95", "share_of_points",
        "above_mixture",
    }  # fmt: skip
    assert record["policy"] == policy
    assert record["budget"] == pytest.approx(0.6 * content["points"][-1]["mean_cost"])
    assert len(content["frontier"]) == len(content["oracle"]) == 7
    assert content["num_samples"] == 84
    assert content["notes"] == []
    assert sum(record["share_of_points"].values()) == pytest.approx(1)
    if drawn:
        assert (folder / "out" / "frontier.png").read_bytes().startswith(b"\x89PNG")
    assert "area above the mixture" in outcome.out


def test_the_oracle_needs_no_file(folder: Path) -> None:
    outcome = replayed(folder, "budgets=3")
    assert outcome.code == 0, outcome.err
    assert "100.0 % (" not in outcome.err
    content = json.loads((folder / "out" / "replay.json").read_text())
    assert content["area"]["share"] == pytest.approx(1)


def test_a_policy_beside_another(folder: Path) -> None:
    outcome = replayed(
        folder, *asked(folder, "router"), f"against={folder / 'fitted' / 'lookup.json'}",
        "budgets=3",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    against = json.loads((folder / "out" / "replay.json").read_text())["against"]
    assert [difference["other"] for difference in against] == ["lookup (lookup.json)"] * 4


def test_a_router_says_what_it_was_fitted_on_and_why_it_decides(folder: Path) -> None:
    file = read_policy(folder / "fitted" / "router.json")
    assert file.fitted_on.dataset == "tierqa_validation"
    assert (file.fitted_on.num_samples, file.fitted_on.num_images) == (140, 20)
    assert set(file.fitted_on.versions) >= {"scikit-learn", "numpy", "tierexp"}
    assert file.fitted_on.inputs["low"] == {"weights": "w", "samples": "validation"}
    assert replayed(folder, *asked(folder, "router"), "budgets=3").code == 0
    content = json.loads((folder / "out" / "replay.json").read_text())
    assert content["examples"]
    for example in content["examples"]:
        assert set(example["chances"]) == {"low", "medium", "high"}
        assert example["reasons"][0]["feature"] != "point"
    assert sum(each["count"] for each in content["calibration"]) == 3 * 84


def test_a_policy_on_the_questions_of_its_fitting_says_so(folder: Path) -> None:
    outcome = replayed(folder, *asked(folder, "lookup"), "budgets=3", results="validation")
    assert outcome.code == 0
    assert "note: fitted on these very questions" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["policy.budget=10"], ["policy.budget", "of low", "of high"]),
        (["policy.budget=2x"], ["policy.budget", "2x"]),
        (["policy.budget=much"], ["policy.budget", "0.6x"]),
        (["policy.unit=latency_ms"], ["policy.unit", "llm_vision_tokens", "latency=on"]),
        (["policy.unit=joules"], ["policy.unit", "flops"]),
        (["policy.points=[low,native]"], ["policy.points", "native", "low, medium, high"]),
        (["policy.points=[low]"], ["policy.points", "two points"]),
        (["policy=router"], ["policy.file", "fit_policy.py"]),
        (["policy=cascade", "policy.thresholds=[-99,-99]"], ["policy.thresholds", "low"]),
        (["policy=cascade", "policy.thresholds=[0]"], ["policy.thresholds", "2 of them"]),
        (["policy=cascade", "policy.thresholds=low"], ["policy.thresholds", "list"]),
        (["budgets=1"], ["budgets"]),
        (["policy.bugdet=7"], ["policy.bugdet", "budget"]),
        (["against=nothing.json"], ["nothing.json"]),
        (["against=[tiny]"], ["against=['tiny']", "text"]),
        (["policy=router", "policy.file=[tiny]"], ["policy.file=['tiny']", "text"]),
        (["policy=lookup", "policy.other_data=perhaps"], ["policy.other_data"]),
    ],
)
def test_mistakes_of_a_replay_are_one_line(
    folder: Path, arguments: list[str], words: list[str]
) -> None:
    assert_refused(replayed(folder, *arguments), words)


@pytest.mark.whole
def test_a_policy_for_something_else_is_refused(folder: Path, tmp_path: Path) -> None:
    router = asked(folder, "router")
    points = replayed(folder, *router, "policy.points=[low,high]")
    assert_refused(points, ["low, high", "low, medium, high"])
    other = replayed(folder, "policy=cascade", router[1])
    assert_refused(other, ["policy=router"])
    write_sweep(tmp_path / "molmo", split="test", images=6, model="molmo")
    model = replayed(tmp_path, *router, results="molmo")
    assert_refused(model, ["model tiny", "of molmo", "policy.other_data=true"])
    anyway = replayed(tmp_path, *router, "policy.other_data=true", "budgets=3", results="molmo")
    assert anyway.code == 0, anyway.err
    assert "note: fitted for the model tiny" in anyway.out


@pytest.mark.whole
def test_results_that_lack_something_are_refused(folder: Path, tmp_path: Path) -> None:
    assert_refused(replayed(tmp_path, results="nothing"), ["not a folder"])
    assert_refused(fitted(tmp_path, results="nothing"), ["not a folder"])
    write_sweep(tmp_path / "one", images=3, points=("low",))
    assert_refused(fitted(tmp_path, results="one"), ["1 results files"])
    assert_refused(fitted(folder, "policy=oracle"), ["policy", "lookup, mixture"])
    assert_refused(fitted(folder, "policy.features=[task]"), ["policy.features", "words"])
    broken = tmp_path / "broken.json"
    broken.write_text('{"schema_version": 99}')
    assert_refused(replayed(folder, "policy=router", f"policy.file={broken}"), ["schema version"])


def test_the_folder_may_stand_first() -> None:
    assert name_positional(["a b/it's", "x=1"], "results") == ["results='a b/it\\'s'", "x=1"]
    assert name_positional(["results=x", "y=2"], "results") == ["results=x", "y=2"]
    assert name_positional(["--help"], "results") == ["--help"]
    assert name_positional([], "results") == []


@pytest.mark.whole
def test_a_replay_imports_no_torch(folder: Path) -> None:
    import subprocess

    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tierexp.policies import commands, live\n"
        "from tierexp.policies.sweep import read_sweep\n"
        f"read_sweep(Path({str(folder / 'test')!r}))\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.whole
def test_times_come_from_a_few_timed_questions(folder: Path, tmp_path: Path) -> None:
    """The law of the timed results, see `write_sweep`: 2 ms a view, 1 + 0.02 ms a token, 12 ms."""
    timed = write_sweep(tmp_path / "timed", images=8, timed=True)
    out = f"output_dir={tmp_path}"
    fast = (*FAST, f"timed={timed}", out)
    outcome = fitted(folder, "policy=router", *fast)
    assert outcome.code == 0, outcome.err
    assert "from 56 timed questions" in outcome.out
    file = read_policy(tmp_path / "router.json")
    assert (file.fitted_on.num_samples, file.fitted_on.num_timed) == (140, 56)
    assert file.cost_model_errors["latency_ms"][0].mean_absolute_percentage < 0.01
    sweep = read_sweep(folder / "test")
    law = 2 * (sweep.tilings.prod(axis=2) + 1) + 1 + 0.02 * sweep.costs["llm_vision_tokens"] + 12
    router = (f"policy.file={tmp_path / 'router.json'}", "policy=router", f"timed={timed}")
    outcome = replayed(folder, *router, "policy.unit=latency_ms", "budgets=3", out)
    assert outcome.code == 0, outcome.err
    content = json.loads((tmp_path / "replay.json").read_text())
    costs = [point["mean_cost"] for point in content["points"]]
    assert costs == pytest.approx(list(law.mean(axis=0)), rel=1e-6)
    assert content["at_budget"]["mean_cost"] == pytest.approx(0.6 * costs[-1], rel=0.02)
    assert content["notes"] == ["times and operations are predicted from 56 timed questions"]
    assert replayed(tmp_path, f"timed={timed}", "budgets=3", results="timed").code == 0
    assert json.loads((tmp_path / "out" / "replay.json").read_text())["notes"] == []  # measured
    # Results that do not say what was encoded have times all the same.
    bare = replace(sweep, costs={"llm_vision_tokens": sweep.cost("llm_vision_tokens")}, shared={})
    measured = read_sweep(timed)
    times = {n: of for n, of in measured.stages.items() if not n.startswith("flops")}
    predicted = with_predicted_costs(bare, replace(measured, stages=times))
    assert predicted.cost("latency_ms") == pytest.approx(law, rel=1e-6)
    # A file of a machine that takes twice as long is brought back to what these results took.
    model = file.router.cost_models["latency_ms"]  # type: ignore[union-attr]
    slow = {"latency_ms": replace(model, scales=(2.0, 2.0, 2.0))}
    away = replace(file, router=replace(file.router, cost_models=slow))  # type: ignore[type-var]
    write_policy(away, tmp_path / "away.json")
    here = live.router(file=str(tmp_path / "away.json"), timed=str(timed)).file.router
    assert here is not None
    assert here.cost_models["latency_ms"].scales == pytest.approx((1, 1, 1), rel=1e-6)
    refused = replayed(folder, *asked(folder, "router"), f"policy.timed={timed}")
    assert_refused(refused, ["policy.timed", "timed=DIR"])
    assert_refused(fitted(folder, f"policy.timed={timed}", out), ["policy.timed", "timed=DIR"])


@pytest.mark.whole
def test_times_of_something_else_are_refused(folder: Path, tmp_path: Path) -> None:
    few = {"images": 3, "timed": True}
    write_sweep(tmp_path / "molmo", model="molmo", **few)  # type: ignore[arg-type]
    write_sweep(tmp_path / "two", points=("low", "high"), **few)  # type: ignore[arg-type]
    write_sweep(tmp_path / "untimed", images=3)
    for name, words in {
        "molmo": ["timed", "model tiny", "of molmo"],
        "two": ["timed", "medium", "low, high"],
        "untimed": ["timed", "latency=on"],
        "nothing": ["not a folder"],
    }.items():
        assert_refused(fitted(folder, f"timed={tmp_path / name}", f"output_dir={tmp_path}"), words)
