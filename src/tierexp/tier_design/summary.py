"""The console summary of a search for tiers, readable at 80 columns and in a pipe."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

from rich.box import SQUARE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tierexp.models.none import MOLMO
from tierexp.results.metrics import number_text, percent_text
from tierexp.tier_design.results import FrontierPoint, TierDesign, TierMetrics

_MOST_REASONS = 5


def print_design(
    design: TierDesign,
    token_steps: Iterable[int],
    overrides: Mapping[str, object],
    output_dir: Path,
    console: Console,
) -> None:
    """Print the frontier in steps, what it gains on the shipped tiers, and how to go on.

    Args:
        design: What was found.
        token_steps: Budgets at which the frontier is shown, ascending.
        overrides: Overrides of the model and the threshold that the metrics hold for, by key.
        output_dir: Where the files are.
        console: To print to.
    """
    console.print(_frontier(design, token_steps))
    console.print(_comparison(design))
    for name, reason in design.unreachable.items():
        console.print(Text(f"not {name}: {design.family} has {reason}"), soft_wrap=True)
    if design.failures:
        console.print(f"{design.num_failed} samples have no readable size, such as:")
        for failure in design.failures[:_MOST_REASONS]:
            console.print(Text(f"  {failure.sample_id}: {failure.reason}"), soft_wrap=True)
    # No wrapping: paths and commands are to be copied.
    more = [f"{k}={'null' if v is None else v}" for k, v in overrides.items()]
    options = ["--config-dir", str(output_dir), f"tier={design.chosen.tier}", *more]
    for label, line in (
        ("results ", f"{output_dir / 'tier_design.json'}, frontier.csv"),
        ("tier    ", f"{output_dir / 'tier' / design.chosen.tier}.yaml"),
        ("use     ", f"python eval.py {shlex.join(options)}"),
    ):
        console.print(Text(f"{label} {line}"), soft_wrap=True)


def _frontier(design: TierDesign, token_steps: Iterable[int]) -> Table:
    table = Table(
        title=Text(
            f"{design.dataset} · {design.num_samples} sizes{_of_family(design)} · "
            f"least {_words(design)}\n"
            f"the best of {design.num_tiers} tiers; {len(design.frontier)} are on the frontier"
        ),
        title_justify="left", min_width=60, box=SQUARE,
    )  # fmt: skip
    table.add_column("tokens at most", justify="right")
    table.add_column("mean", justify="right")
    table.add_column(_words(design), justify="right")
    table.add_column("crops", justify="right", no_wrap=True)
    table.add_column("preferred" if design.family == MOLMO else "typical")
    shown: FrontierPoint | None = None
    for step in sorted({*token_steps, design.budget}):
        within = [p for p in design.frontier if p.selected_vision_tokens_mean <= step]
        if within and within[-1] is not shown:
            shown = within[-1]
            chosen = shown == design.chosen.best
            table.add_row(
                str(step),
                number_text(shown.selected_vision_tokens_mean),
                _objective(design, shown.objective_mean),
                f"{shown.min_crops}-{shown.max_crops}",
                ", ".join(map(str, shown.preferred_crops)),
                style="bold" if chosen else None,
            )
    return table


def _comparison(design: TierDesign) -> Table:
    table = Table(
        title="beside the tiers in the box", title_justify="left", min_width=60, box=SQUARE
    )
    table.add_column("tier", no_wrap=True)
    for column in ("tokens", "mismatch", "content lost", f"least {_words(design)} for them"):
        table.add_column(column, justify="right")

    def add(metrics: TierMetrics, style: str | None = None) -> None:
        best = metrics.best
        table.add_row(
            Text(metrics.tier),
            number_text(metrics.selected_vision_tokens_mean),
            number_text(metrics.aspect_ratio_mismatch_mean, 3),
            percent_text(1 - metrics.content_kept_mean),
            "-" if best is None else _objective(design, best.objective_mean),
            style=style,
        )

    for metrics in design.shipped:
        add(metrics)
    table.add_section()
    add(design.chosen, style="bold")
    return table


def _of_family(design: TierDesign) -> str:
    return "" if design.family == MOLMO else f" · {design.family}"


def _words(design: TierDesign) -> str:
    return "mismatch" if design.objective == "mismatch" else "content lost"


def _objective(design: TierDesign, value: float) -> str:
    return number_text(value, 3) if design.objective == "mismatch" else percent_text(value)
