"""What fitting and replaying say on the console."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.box import SQUARE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tierexp.policies.calibration import calibration_curve, expected_calibration_error
from tierexp.policies.policy_file import PolicyFile
from tierexp.policies.replay_results import ReplayResults
from tierexp.policies.sweep import Sweep
from tierexp.results.policy_record import PolicyRecord, point_label


def print_fit(
    file: PolicyFile,
    sweep: Sweep,
    chances: NDArray[np.float64] | None,
    target: Path,
    console: Console,
) -> None:
    """What was fitted, on what, and what cross-validation says of it."""
    on = file.fitted_on
    console.print(
        f"policy {file.policy} of {', '.join(file.points)}, fitted on {on.num_samples} questions "
        f"about {on.num_images} images of {on.dataset}"
    )
    if on.num_timed is not None:
        console.print(f"times and operations of an answer from {on.num_timed} timed questions")
    for unit, estimates in file.estimates.items():
        table = Table(title=f"cross-validated, by {unit}", title_justify="left", box=SQUARE)
        for column in ("budget", "accuracy", "mixture"):
            table.add_column(column, justify="right")
        for e in estimates:
            table.add_row(f"{e.budget:.4g}", f"{e.accuracy:.1%}", f"{e.mixture:.1%}")
        console.print(table)
    if chances is not None:
        error = expected_calibration_error(calibration_curve(chances, sweep.accuracy))
        console.print(f"calibration error of the chances, cross-validated: {error:.3f}")
    for unit, errors in file.cost_model_errors.items():
        for held in errors:
            average, p95 = held.mean_absolute_percentage, held.p95_percentage
            console.print(
                f"{unit} of {held.point}, held out: off by {average:.1f} % on average, "
                f"p95 {p95:.1f} %, the mean by {held.mean_percentage:+.1f} %"
            )
    console.print(Text(f"policy  {target}"), soft_wrap=True)


def print_replay(results: ReplayResults, figure: Path | None, console: Console) -> None:
    """The policy beside its points, and where the files are."""
    for note in results.notes:
        console.print(Text(f"note: {note}"))
    unit = results.at_budget.unit
    table = Table(
        title=f"{results.dataset}, {results.num_samples} questions, costs in {unit}",
        title_justify="left", box=SQUARE,
    )  # fmt: skip
    table.add_column("policy")
    for column in ("mean cost", "accuracy", "95 % interval", "above mixture"):
        table.add_column(column, justify="right", no_wrap=True)
    for record in (*results.points, results.at_budget):
        table.add_row(*map(Text, _cells(record)))
    console.print(table)
    shares = results.at_budget.share_of_points.items()
    console.print(
        Text("answers by " + ", ".join(f"{point_label(n)} {share:.0%}" for n, share in shares))
    )
    for difference in (*results.against_points, *results.against):
        low, high = (100 * end for end in difference.ci95)
        console.print(
            f"at {difference.mean_cost:.1f} {unit} {100 * difference.difference:+.1f} points "
            f"({low:+.1f} to {high:+.1f}) beside {point_label(difference.other)} "
            f"at {difference.other_cost:.1f}"
        )
    area, (low, high) = results.area, results.area.share_ci95
    console.print(
        f"area above the mixture: {100 * area.above_mixture:.2f} of the oracle's "
        f"{100 * area.of_oracle:.2f} points, {area.share:.1%} ({low:.1%} to {high:.1%}); "
        f"at the least {100 * area.least:+.2f} points above it"
    )
    if results.over_budget is not None:
        console.print(f"{results.over_budget:.1%} of the answers took longer than the budget")
    if figure is not None:
        console.print(Text(f"figure  {figure}"), soft_wrap=True)


def _cells(record: PolicyRecord) -> list[str]:
    low, high = record.ci95
    return [
        point_label(record.policy),
        f"{record.mean_cost:.1f}",
        f"{record.accuracy:.1%}",
        f"{low:.1%} to {high:.1%}",
        "" if record.above_mixture is None else f"{100 * record.above_mixture:+.1f}",
    ]
