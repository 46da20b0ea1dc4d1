"""The report of a sweep as a W&B run of its own, beside the runs it is about.

In: the page, and the results it was made from. Out: a run in their project and group with the page,
a table of the runs, panels of the policies that were replayed on them, and both files as artifacts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import wandb

from tierexp.errors import DataError
from tierexp.policies.figure import frontier_figure
from tierexp.policies.replay_results import ReplayResults
from tierexp.report.comparison import FILE_NAME
from tierexp.report.policy_figures import calibration_figure, shares_figure
from tierexp.report.policy_section import example_cards, replays_in
from tierexp.report.varying import labels_of
from tierexp.report.wandb_logging import TierWandbLogger
from tierexp.report.wandb_settings import refuse_run_id
from tierexp.results.schema import EvaluationResults


def log_report(page: Path, runs: Sequence[EvaluationResults]) -> str:
    """Log a page; returns where it is to be found.

    Args:
        page: As `write_report` has written it.
        runs: It is about, all with an accuracy.

    Raises:
        DataError: The runs were not logged to W&B.
        ConfigError: W&B cannot start as the runs have started it.
    """
    settings = runs[0].provenance.config.get("logger", {})
    if not str(settings.get("_target_")).endswith(TierWandbLogger.__name__):
        raise DataError(f"the runs in {page.parent} were not logged to W&B: logger=wandb does that")
    refuse_run_id("for a report, which would take the place of the run of that id")
    logger = TierWandbLogger(
        save_dir=page.parent,
        project=settings["project"],
        name=f"report {page.parent.resolve().name}",
        group=settings.get("group"),
        mode=settings.get("mode", "auto"),
    )
    metrics = {m.name: m for run in runs for m in run.metrics if m.tables == "all"}
    columns: list[str | int] = ["run", *(metric.stem for metric in metrics.values())]
    columns += ["accuracy", "ci95_low", "ci95_high"]
    rows = [
        [
            label,
            *(run.aggregates.get(metric.field("mean")) for metric in metrics.values()),
            run.accuracy,
            *(run.accuracy_ci95 or (None, None)),
        ]
        for label, run in zip(labels_of(runs), runs, strict=True)
    ]
    logger.log_media(
        {
            "runs": wandb.Table(columns=columns, data=rows),
            "report": wandb.Html(str(page), inject=False),
        }
    )
    for name, media in _policy_panels(replays_in(page.parent, runs)).items():
        logger.log_media({name: media})
    logger.log_file(page, "report")
    comparison = page.parent / FILE_NAME
    if comparison.exists():
        logger.log_file(comparison, "comparison")
    where = logger.whereabouts()
    logger.finish(exit_code=0)
    return where


def _policy_panels(replays: Sequence[ReplayResults]) -> dict[str, Any]:
    """For every replay its frontier, the shares of its points, its figures, its calibration, its
    examples and what it gains over every point.
    """
    panels: dict[str, Any] = {}
    for number, replay in enumerate(replays):
        name = f"policy/{replay.at_budget.policy}" + (f"_{number}" if number else "")
        points = replay.at_budget.points
        head: list[str | int] = ["budget", "mean_cost", "accuracy", "ci95_low", "ci95_high",
                                 "above_mixture", *points]  # fmt: skip
        rows = [
            [
                r.budget, r.mean_cost, r.accuracy, *r.ci95, r.above_mixture,
                *(r.share_of_points.get(point, 0.0) for point in points),
            ]
            for r in replay.frontier
        ]  # fmt: skip
        panels[f"{name}/frontier"] = wandb.Table(columns=head, data=rows)
        panels[f"{name}/frontier_figure"] = wandb.Image(frontier_figure(replay))
        panels[f"{name}/shares_figure"] = wandb.Image(shares_figure(replay))
        panels[f"{name}/against_points"] = wandb.Table(
            columns=["point", "point_cost", "mean_cost", "difference", "ci95_low", "ci95_high"],
            data=[
                [d.other, d.other_cost, d.mean_cost, d.difference, *d.ci95]
                for d in replay.against_points
            ],
        )
        if replay.calibration:
            panels[f"{name}/calibration"] = wandb.Table(
                columns=["predicted", "accuracy", "count"],
                data=[[b.predicted, b.accuracy, b.count] for b in replay.calibration],
            )
            panels[f"{name}/calibration_figure"] = wandb.Image(calibration_figure(replay))
            panels[f"{name}/examples"] = wandb.Table(
                columns=["question", "sent", "because"],
                data=[[c.question, c.sent, "; ".join(c.reasons)] for c in example_cards([replay])],
            )
    return panels
