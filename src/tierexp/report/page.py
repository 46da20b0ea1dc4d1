"""One page about some runs: everything in a single file that opens without a network.

In: the folder of a sweep, or of several. Out: `report.html`, and the figures as SVG and PNG beside
it. Only results and the thumbnails that runs keep are read. Text from data is escaped by Jinja;
figures take their ink from the page, light or dark; the page forbids its reader's browser to run or
fetch anything.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib import rc_context
from matplotlib.figure import Figure

from tierexp.errors import DataError
from tierexp.errors.machine import writing
from tierexp.policies.figure import frontier_figure
from tierexp.policies.replay_results import ReplayResults
from tierexp.report import figures
from tierexp.report.accuracy_curve import accuracy_curve
from tierexp.report.gallery import StoredRun, answered, disagreements, fitting_pictures
from tierexp.report.page_tables import (
    PageTable,
    difference_tables,
    failure_tables,
    model_free_table,
    origin_table,
    runs_table,
    settings_table,
    table,
    target_tables,
)
from tierexp.report.points_figure import points_curve
from tierexp.report.policy_figures import calibration_figure, shares_figure
from tierexp.report.policy_section import (
    area_lines,
    beside_points,
    example_cards,
    record_tables,
    replays_in,
)
from tierexp.report.reduction_figure import reduction_curve
from tierexp.report.reductions import HEAD, one_setting, rival_rows, rivals, task_rows
from tierexp.report.summary import score_text
from tierexp.report.varying import comparable_results, labels_of
from tierexp.results.files import complete_results, load_results, model_free_results, runs_in
from tierexp.results.model_free import ModelFreeResults, load_model_free_results
from tierexp.results.schema import EvaluationResults

PAGE, FIGURES = "report.html", "figures"
_INK = "#123457"
"""Stands in the figures for the page's own ink."""
_INKS = (
    "text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color", "grid.color",
)  # fmt: skip
_MOST_CASES = 12
Runs = Sequence[EvaluationResults]


@dataclass(frozen=True)
class Drawing:
    """One figure of the page.

    Args:
        name: Name of its files.
        caption: What it shows.
        draw: Makes it anew.
    """

    name: str
    caption: str
    draw: Callable[[], Figure]


def write_report(folder: Path) -> Path:
    """Write `report.html` and `figures/` into a folder with results.

    Args:
        folder: Results files lie in it or anywhere below: of runs with a model, or, where there are
            none, of runs without.

    Returns:
        The page.

    Raises:
        DataError: There are no results, or not all of one data set and model.
        MachineError: The page cannot be written.
    """
    without = [] if _has_results(folder) else _model_free_runs(folder)
    if without:
        drawings, content = _model_free_content(without)
    else:
        drawings, content = _content(_stored_runs(folder), folder)
    template = Environment(
        loader=PackageLoader("tierexp.report", "."), autoescape=True, undefined=StrictUndefined
    ).get_template("page.html.jinja")
    shown = [{"name": d.name, "caption": d.caption, "svg": _inline_svg(d)} for d in drawings]
    page = template.render(figures=shown, **content)
    target = folder / PAGE
    with writing(target):
        target.write_text(page, encoding="utf-8")
    _write_figures(drawings, folder / FIGURES)
    return target


def reported_runs(folder: Path) -> list[EvaluationResults]:
    """The runs with a model that a report on a folder is about, those with the fewest tokens first.

    Args:
        folder: As in `write_report`, with the same errors.
    """
    return [run.results for run in _stored_runs(folder)]


def _content(runs: Sequence[StoredRun], folder: Path) -> tuple[list[Drawing], dict[str, Any]]:
    """(figures, the rest of the page) of runs with a model."""
    results, labels = [run.results for run in runs], [run.label for run in runs]
    first = results[0]
    several = len(runs) > 1
    replays = replays_in(folder, results)
    return [*_drawings(results), *_policy_drawings(replays)], {
        "title": f"{first.dataset}: {_count(len(runs))} of {first.model}",
        "subtitle": _subtitle(results),
        "runs": runs_table(runs),
        "targets": list(target_tables(runs)),
        "differences": list(difference_tables(runs)),
        "rivals": _rivals_tables(results),
        "policies": list(record_tables(replays, results)),
        "beside_points": list(beside_points(replays)),
        "areas": area_lines(replays),
        "examples": example_cards(replays),
        "galleries": [{"label": run.label, "pictures": fitting_pictures(run)} for run in runs],
        "cases": disagreements(runs, _MOST_CASES) if several else answered(runs[0], _MOST_CASES),
        "cases_title": "Where runs disagree" if several else "Some samples",
        "failures": list(failure_tables(results, labels)),
        "origin": origin_table(results, labels),
        "settings": settings_table(results),
    }


def _rivals_tables(runs: Runs) -> list[PageTable]:
    """Reduced runs beside tiers, in all and by task; none where there are not both."""
    rows = rival_rows(runs)
    if not rows:
        return []
    head, *of_tasks = task_rows(runs)
    title = "By task: points against the tier with as many tokens"
    return [table("", HEAD, rows), table(title, head, of_tasks)]


def _model_free_content(runs: Sequence[ModelFreeResults]) -> tuple[list[Drawing], dict[str, Any]]:
    """(figures, the rest of the page) of runs without a model."""
    labels = labels_of(runs)
    drawings = [
        Drawing(
            "mismatch", "How badly tilings fit their images.",
            lambda: figures.mismatch_histograms(runs),
        ),
        Drawing("crops", "Crop counts.", lambda: figures.crops_distribution(runs)),
    ]  # fmt: skip
    return drawings, {
        "title": f"{runs[0].dataset}: {_count(len(runs))} without a model",
        "subtitle": f"{_range([run.num_samples for run in runs])} samples each",
        "runs": model_free_table(runs, labels),
        "targets": [], "differences": [], "rivals": [], "galleries": [],
        "policies": [], "beside_points": [], "areas": [], "examples": [],
        "cases": [], "cases_title": "",
        "failures": list(failure_tables(runs, labels)),
        "origin": origin_table(runs, labels),
        "settings": settings_table(runs),
    }  # fmt: skip


def _has_results(folder: Path) -> bool:
    return any(complete_results(inner) for inner in runs_in(folder))


def _stored_runs(folder: Path) -> list[StoredRun]:
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder")
    files = [file for inner in runs_in(folder) for file in complete_results(inner)]
    read = [(load_results(file), file.parent) for file in files]
    found = [(run, place) for run, place in read if run.accuracy is not None]
    if not found:
        raise DataError(f"{folder} has no results files with an accuracy in or below it")
    _refuse_several(folder, [run for run, _ in found], ("dataset", "model", "score"))
    found.sort(key=lambda entry: entry[0].aggregates["selected_vision_tokens_mean"] or 0)
    labels = labels_of([run for run, _ in found])
    return [StoredRun(run, label, place) for (run, place), label in zip(found, labels, strict=True)]


def _model_free_runs(folder: Path) -> list[ModelFreeResults]:
    files = [file for inner in runs_in(folder) for file in model_free_results(inner)]
    runs = [run for run in map(load_model_free_results, files) if run.num_samples]
    _refuse_several(folder, runs, ("dataset",))
    return sorted(runs, key=lambda run: run.aggregates["selected_vision_tokens_mean"] or 0)


def _refuse_several(
    folder: Path, runs: Sequence[EvaluationResults | ModelFreeResults], facts: Sequence[str]
) -> None:
    for name in facts:
        values = sorted({str(getattr(run, name)) for run in runs})
        if len(values) > 1:
            raise DataError(
                f"{folder} has results of more than one {name} ({', '.join(values)}): "
                "name a folder of one sweep"
            )


def _subtitle(runs: Runs) -> str:
    failed = max(run.num_failed for run in runs)
    return (
        f"{_range([run.num_samples for run in runs])} samples each"
        + (f", up to {failed} failed" if failed else "")
        + f"; score {score_text(runs[0].score)}"
    )


def _range(counts: Sequence[int]) -> str:
    return " to ".join(str(count) for count in sorted({min(counts), max(counts)}))


def _count(runs: int) -> str:
    return "1 run" if runs == 1 else f"{runs} runs"


def _drawings(runs: Runs) -> Iterator[Drawing]:
    if comparable_results(runs):
        yield Drawing(
            "accuracy_tokens", "Accuracy against the vision tokens that were selected.",
            lambda: accuracy_curve(runs, runs[0].chance),
        )  # fmt: skip
    elif len(runs) > 1:
        yield Drawing(
            "points", "Operating points; those with names are beaten by no other.",
            lambda: points_curve(runs),
        )  # fmt: skip
    if one_setting(runs) and rivals(runs):
        yield Drawing(
            "reductions", "Tiers, and tokens of a tier thrown away or merged.",
            lambda: reduction_curve(runs),
        )  # fmt: skip
    if any(run.latency is not None for run in runs):
        yield Drawing(
            "accuracy_latency", "Accuracy against time; the dashed runs are beaten by no other.",
            lambda: figures.accuracy_against_latency(runs),
        )  # fmt: skip
    yield Drawing(
        "accuracy_tasks", "Accuracy of every task.", lambda: figures.accuracy_by_task(runs)
    )
    yield Drawing(
        "mismatch", "How badly tilings fit their images.",
        lambda: figures.mismatch_distribution(runs),
    )  # fmt: skip
    yield Drawing(
        "utilization", "The share of the token budget that sees the image.",
        lambda: figures.utilization_distribution(runs),
    )  # fmt: skip
    yield Drawing("crops", "Crop counts.", lambda: figures.crops_distribution(runs))


def _policy_drawings(replays: Sequence[ReplayResults]) -> Iterator[Drawing]:
    """For every replay its frontier, its points by budget, and how its chances came true."""
    for number, replay in enumerate(replays):
        policy, end = replay.at_budget.policy, f"_{number}" if number else ""
        yield Drawing(
            f"policy_frontier{end}", f"The policy {policy} at every budget.",
            partial(frontier_figure, replay),
        )  # fmt: skip
        yield Drawing(
            f"policy_shares{end}",
            f"Which points the policy {policy} takes; dotted: the budget it was given.",
            partial(shares_figure, replay),
        )  # fmt: skip
        if replay.calibration:
            yield Drawing(
                f"policy_calibration{end}", f"Chances that the policy {policy} predicts.",
                partial(calibration_figure, replay),
            )  # fmt: skip


def _inline_svg(drawing: Drawing) -> str:
    """A figure without a background, in the ink of the text around it."""
    file = io.StringIO()
    settings: dict[Any, Any] = dict.fromkeys(_INKS, _INK) | {
        "svg.fonttype": "none", "svg.hashsalt": drawing.name, "font.family": "sans-serif",
    }  # fmt: skip
    with rc_context(settings):
        drawing.draw().savefig(file, format="svg", transparent=True, metadata={"Date": None})
    text = file.getvalue()
    # What precedes the element belongs to a file of its own.
    return text[text.index("<svg") :].replace(_INK, "currentColor")


def _write_figures(drawings: Sequence[Drawing], folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for drawing in drawings:
        figure = drawing.draw()
        with rc_context({"svg.hashsalt": "tierexp"}):
            figure.savefig(folder / f"{drawing.name}.svg", metadata={"Date": None})
        figure.savefig(folder / f"{drawing.name}.png", dpi=200)
