"""The report of a sweep as a W&B run of its own, beside the runs it is about.

In: the page, and the results it was made from. Out: a run in their project and group with the page,
a table of the runs, and both files as artifacts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import wandb

from tierexp.errors import DataError
from tierexp.report.comparison import FILE_NAME
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
    logger.log_file(page, "report")
    comparison = page.parent / FILE_NAME
    if comparison.exists():
        logger.log_file(comparison, "comparison")
    where = logger.whereabouts()
    logger.finish(exit_code=0)
    return where
