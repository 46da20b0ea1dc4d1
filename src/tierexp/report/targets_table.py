"""Checks as a table on the console."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SQUARE
from rich.table import Table

from tierexp.results.check import Check


def checks_table(checks: Sequence[Check]) -> Table:
    """One line a check: met or missed, with its figure, its interval and its target."""
    table = Table(title="targets", title_justify="left", min_width=60, box=SQUARE)
    table.add_column("check", overflow="fold")
    for column in ("figure", "95 % interval", "target"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    for check in checks:
        style = None if check.met else "yellow"
        table.add_row(*check.words, str(check.num_samples), style=style)
    return table
