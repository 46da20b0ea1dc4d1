"""What images cost in families, as a table to read, as CSV and as JSON.

In: rows (`tierexp.models.plans.policies`). Out: text.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from itertools import groupby

from tierexp.models.plans.policies import TokenRow

_WIDTH = 25
"""Width of a column, in letters."""

_COLUMNS = (
    "family", "width", "height", "policy", "grid_rows", "grid_cols", "images", "vision_tokens",
    "marks", "mismatch", "content_kept", "brought_to_width", "brought_to_height", "settings",
    "reason",
)  # fmt: skip


def as_table(rows: Sequence[TokenRow]) -> str:
    """A line for every family, a column for every policy: grid, tokens, mismatch, content kept.

    Args:
        rows: Rows of one image, families together.
    """
    lines: list[str] = []
    for family, members in groupby(rows, key=lambda row: row.family):
        cells = list(members)
        if not lines:
            lines.append("".join(["family".ljust(20), *(c.policy.ljust(_WIDTH) for c in cells)]))
        lines.append("".join([family.ljust(20), *(_cell(cell).ljust(_WIDTH) for cell in cells)]))
    return "\n".join(line.rstrip() for line in lines)


def _cell(row: TokenRow) -> str:
    if row.plan is None:
        return _short(row.reason or "")
    rows, cols = row.plan.grid
    grid = f"{rows}x{cols}"
    return f"{grid:>7}{row.plan.vision_tokens:>6} {row.mismatch:5.2f}{row.content_kept:>5.0%}"


def _short(reason: str) -> str:
    """A reason in a column's width: its last words are the telling ones."""
    return f"   none: {reason.rsplit(': ', 1)[-1].removeprefix('the nearest are of ')}"[
        : _WIDTH - 1
    ]


def as_json(rows: Sequence[TokenRow]) -> str:
    """A list of objects: `family, width, height, policy, grid, images, vision_tokens, marks,
    mismatch`; the last five null and a `reason` beside them where a family makes nothing.
    """
    return json.dumps([_record(row) for row in rows], indent=1)


def _record(row: TokenRow) -> dict[str, object]:
    plan = row.plan
    record: dict[str, object] = {
        "family": row.family,
        "width": row.size[1],
        "height": row.size[0],
        "policy": row.policy,
        "grid": None if plan is None else list(plan.grid),
        "images": None if plan is None else plan.images,
        "vision_tokens": None if plan is None else plan.vision_tokens,
        "marks": None if plan is None else plan.marks,
        "mismatch": row.mismatch,
    }
    return record if row.reason is None else record | {"reason": row.reason}


def as_csv(rows: Sequence[TokenRow]) -> str:
    """A line for every row, below the names of the columns; what is not there stays empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in rows:
        plan, target = row.plan, row.brought_to
        numbers = (*plan.grid, plan.images, plan.vision_tokens, plan.marks) if plan else (None,) * 5
        writer.writerow(
            (
                row.family, row.size[1], row.size[0], row.policy, *numbers, row.mismatch,
                row.content_kept, *((target[1], target[0]) if target else (None, None)),
                json.dumps(row.settings) if row.settings else None, row.reason,
            )
        )  # fmt: skip
    return text.getvalue()
