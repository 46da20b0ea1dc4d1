"""One page about some runs: everything in a single file that opens without a network.

In: the folder of a sweep, or of several. Out: `report.html`, and the figures as SVG and PNG beside
it. Text from data is escaped by Jinja; figures take their ink from the page, light or dark.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib import rc_context
from matplotlib.figure import Figure
from omegaconf import OmegaConf

from tierexp.config.build import build
from tierexp.data.loader_settings import LoaderSettings
from tierexp.errors import DataError, TierexpError
from tierexp.machine import writing
from tierexp.report import figures
from tierexp.report.accuracy_curve import accuracy_curve
from tierexp.report.comparison import runs_below
from tierexp.report.gallery import Pictures, disagreements, fitting_pictures
from tierexp.report.reduction_figure import reduction_curve
from tierexp.report.reductions import HEAD, rival_rows, rivals
from tierexp.report.summary import score_text
from tierexp.report.trust import trusted_config
from tierexp.report.varying import comparable, run_labels
from tierexp.results.schema import EvaluationResults
from tierexp.results.targets.check import Check
from tierexp.results.targets.sweep_checks import check_sweep
from tierexp.tiers.geometry import CropGeometry

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
        name: Of its files.
        caption: What it shows.
        draw: Makes it anew.
    """

    name: str
    caption: str
    draw: Callable[[], Figure]


def write_report(folder: Path, trust: bool = False) -> Path:
    """Write `report.html` and `figures/` into a folder with results.

    Args:
        folder: Results files lie in it or anywhere below.
        trust: Whether the results are the user's own: for the pictures, their data set is built
            again, of whatever class.

    Returns:
        The page.

    Raises:
        DataError: There are no results with an accuracy, or not all of one data set and model.
        MachineError: The page cannot be written.
    """
    runs = reported_runs(folder)
    labels = run_labels(runs)
    drawings = list(_drawings(runs))
    pictures, note = _pictures(runs[0], trust)
    template = Environment(
        loader=PackageLoader("tierexp.report", "."), autoescape=True, undefined=StrictUndefined
    ).get_template("page.html.jinja")
    page = template.render(
        title=f"{runs[0].dataset}: {len(runs)} runs of {runs[0].model}",
        subtitle=_subtitle(runs),
        runs=_runs_table(runs, labels),
        checks=list(_check_rows(runs, labels)),
        rivals_head=HEAD,
        rivals=rival_rows(runs),
        figures=[{"name": d.name, "caption": d.caption, "svg": _inline_svg(d)} for d in drawings],
        galleries=[
            {"label": label, "pictures": fitting_pictures(run, pictures)}
            for label, run in zip(labels, runs, strict=True)
        ],
        note=note,
        cases=disagreements(runs, labels, pictures, _MOST_CASES) if len(runs) > 1 else [],
    )
    target = folder / PAGE
    with writing(target):
        target.write_text(page, encoding="utf-8")
    _write_figures(drawings, folder / FIGURES)
    return target


def reported_runs(folder: Path) -> list[EvaluationResults]:
    """The runs that a report on a folder is about, those with the fewest tokens first.

    Args:
        folder: As in `write_report`, with the same errors.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder")
    runs = [run for run in runs_below(folder) if run.accuracy is not None]
    if not runs:
        raise DataError(f"{folder} has no results files with an accuracy in or below it")
    for name in ("dataset", "model", "score"):
        values = sorted({str(getattr(run, name)) for run in runs})
        if len(values) > 1:
            raise DataError(
                f"{folder} has results of more than one {name} ({', '.join(values)}): "
                "name a folder of one sweep"
            )
    return sorted(runs, key=lambda run: run.selected_vision_tokens_mean or 0)


def _subtitle(runs: Runs) -> str:
    counts = sorted({run.num_samples for run in runs})
    samples = " to ".join(str(count) for count in sorted({counts[0], counts[-1]}))
    failed = max(run.num_failed for run in runs)
    provenance = runs[0].provenance
    commit = "" if provenance.git_commit is None else f", commit {provenance.git_commit[:10]}"
    return (
        f"{samples} samples each" + (f", up to {failed} failed" if failed else "")
        + f"; score {score_text(runs[0].score)}; on {provenance.device}{commit}"
    )  # fmt: skip


def _runs_table(runs: Runs, labels: Sequence[str]) -> dict[str, Any]:
    timed = any(run.latency is not None for run in runs)
    head = ["run", "crops", "tokens", "to the LLM", "mismatch", "utilization", "accuracy"]
    head += ["95 % interval", *(["chance"] if runs[0].chance is not None else [])]
    head += ["ms an answer (p50, p95)"] if timed else []
    rows = []
    for run, label in zip(runs, labels, strict=True):
        low, high = run.accuracy_ci95 or (0.0, 0.0)
        row = [
            label, f"{run.selected_crops_mean:.1f}", f"{run.selected_vision_tokens_mean:.0f}",
            f"{run.llm_vision_tokens_mean:.0f}", f"{run.aspect_ratio_mismatch_mean:.3f}",
            f"{run.utilization_mean:.1%}", f"{run.accuracy:.1%}", f"{low:.1%} to {high:.1%}",
        ]  # fmt: skip
        if runs[0].chance is not None:
            row.append("-" if run.chance is None else f"{run.chance:.1%}")
        if timed:
            total = None if run.latency is None else run.latency.stages["T_total"]
            row.append("-" if total is None else f"{total.p50:.1f}, {total.p95:.1f}")
        rows.append(row)
    return {"head": head, "rows": rows}


def _check_rows(runs: Runs, labels: Sequence[str]) -> Iterator[dict[str, str]]:
    found: list[tuple[str, Check]] = []
    if comparable(runs):
        found += [("", check) for check in check_sweep(runs)]
    for run, label in zip(runs, labels, strict=True):
        found += [(label, check) for check in run.validation]
    for label, check in found:
        words = dict(
            zip(("name", "figure", "interval", "target", "verdict"), check.words, strict=True)
        )
        samples = f"{check.num_samples} ({check.num_images} images)"
        yield words | {"run": label, "samples": samples}


def _drawings(runs: Runs) -> Iterator[Drawing]:
    if comparable(runs):
        yield Drawing(
            "accuracy_tokens", "Accuracy against the vision tokens that were selected.",
            lambda: accuracy_curve(runs, runs[0].chance),
        )  # fmt: skip
    if rivals(runs):
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


def _pictures(run: EvaluationResults, trust: bool) -> tuple[Pictures, str | None]:
    """The data set's pictures; where it is not at hand, none, and why."""
    try:
        settings = run.provenance.config
        config = OmegaConf.create(settings) if trust else trusted_config(settings)
        loader = [field.name for field in fields(LoaderSettings)]
        dataset = build(config, "data", leave_out=loader)
        geometry = build(config, "model").geometry
    except TierexpError as error:
        return Pictures(None, CropGeometry()), f"Pictures are missing: {error}"
    return Pictures(dataset, geometry), None
