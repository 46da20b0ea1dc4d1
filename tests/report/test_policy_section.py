"""The report's page and the W&B panel show what a replay found."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tests.support.command_line import run_command
from tests.support.policy_sweeps import run, write_sweep
from tierexp.errors import DataError
from tierexp.policies.commands import fit, replay_policy
from tierexp.policies.reasons import Reason
from tierexp.policies.replay_results import SCHEMA_VERSION, ReplayResults
from tierexp.report.page import write_report
from tierexp.report.policy_figures import calibration_figure, shares_figure
from tierexp.report.policy_section import _reason, record_tables, replays_in
from tierexp.report.wandb_report import _policy_panels
from tierexp.results.files import read_results
from tierexp.results.policy_record import PolicyRecord


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep with the replay of a router in it."""
    folder = tmp_path_factory.mktemp("policies") / "sweep"
    write_sweep(folder, images=6)
    for command, name, arguments in (
        (fit, "fit_policy", ["policy.trees=8", "policy.features=[words,sizes]"]),
        (replay_policy, "replay", [f"policy.file={folder / 'router/router.json'}", "budgets=5"]),
    ):
        outcome = run_command(
            command, name, "policy=router", f"results={folder}",
            f"output_dir={folder / 'router'}", *arguments,
        )  # fmt: skip
        assert outcome.code == 0, outcome.err
    return folder


@pytest.fixture(scope="module")
def replay(folder: Path) -> ReplayResults:
    return read_results(ReplayResults, SCHEMA_VERSION, folder / "router" / "replay.json")


@pytest.mark.whole
@pytest.mark.usefixtures("without_figures")
def test_the_page_has_the_policy(folder: Path, replay: ReplayResults) -> None:
    page = write_report(folder).read_text(encoding="utf-8")
    section = page[page.index('<section id="policies">') :]
    section = section[: section.index("</section>")]
    assert f"{replay.at_budget.accuracy:.1%}" in section
    for difference in replay.against_points:
        assert f"{100 * difference.difference:+.1f} points" in section
    low, high = replay.area.share_ci95
    assert f"{replay.area.share:.1%} ({low:.1%} to {high:.1%})" in section
    for example in replay.examples:
        assert example.question in section
        assert f"to {example.point}" in section
    for name in ("frontier", "shares", "calibration"):
        assert f'<figure id="policy_{name}">' in page
        assert (folder / "figures" / f"policy_{name}.png").exists()


def test_a_replay_of_other_results_is_refused(folder: Path) -> None:
    here = run("low", images=1)
    assert len(replays_in(folder, [here])) == 1
    with pytest.raises(DataError, match="the runs about photos of tiny"):
        replays_in(folder, [dataclasses.replace(here, dataset="photos")])


def test_the_figures_show_what_they_are_given(replay: ReplayResults) -> None:
    (axes,) = shares_figure(replay).axes
    tops = [band.get_paths()[0].vertices[:, 1].max() for band in axes.collections]
    first = [100 * r.share_of_points["low"] for r in replay.frontier]
    assert tops[0] == pytest.approx(max(first))
    assert tops[-1] == pytest.approx(100)
    (axes,) = calibration_figure(replay).axes
    dots = axes.collections[0].get_offsets()
    assert [tuple(dot) for dot in dots.tolist()] == [
        pytest.approx((100 * b.predicted, 100 * b.accuracy)) for b in replay.calibration
    ]
    with pytest.raises(DataError, match="predicts no chances"):
        calibration_figure(dataclasses.replace(replay, calibration=()))


@pytest.mark.whole
def test_wandb_gets_the_same(replay: ReplayResults) -> None:
    panels = _policy_panels([replay])
    assert set(panels) == {
        f"policy/router/{name}"
        for name in (
            "frontier", "frontier_figure", "shares_figure", "against_points", "calibration",
            "calibration_figure", "examples",
        )
    }  # fmt: skip
    table = panels["policy/router/frontier"]
    assert table.columns[-3:] == ["low", "medium", "high"]
    assert [row[2] for row in table.data] == [r.accuracy for r in replay.frontier]
    differences = panels["policy/router/against_points"].data
    assert [row[3] for row in differences] == [d.difference for d in replay.against_points]


def test_runs_with_a_policy_have_a_table_of_their_own() -> None:
    record = PolicyRecord(
        "router", ("low", "high reduction=diverse:9"), "latency_ms", None, 12.34, 0.5, (0.4, 0.6),
        {"low": 1.0, "high reduction=diverse:9": 0.0}, None,
    )  # fmt: skip
    policy = dataclasses.replace(run("low", images=1), policies=(record,))
    (shown,) = record_tables([], [policy])
    assert shown.title == "Runs with a policy, costs in latency_ms"
    assert [text for text, _ in shown.rows[0]] == [
        "router", "12.3", "50.0%", "40.0% to 60.0%", "-", "-", "low 100%",
    ]  # fmt: skip


def test_reasons_are_words() -> None:
    assert _reason(Reason("word written", 1.0, 0.0, 0.2)) == "the question says “written”"
    assert _reason(Reason("word on", 0.0, 1.0, 0.2)) == "the question does not say “on”"
    assert _reason(Reason("content_kept", 0.8444, 0.75, 0.2)) == (
        "content kept is 0.844, usually 0.75"
    )
