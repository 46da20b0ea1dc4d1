r"""Draw the figure of docs/reductions.md from the results of real sweeps, and print its table.

python eval.py experiment=tier_sweep data.max_samples=null output_dir=outputs/tiers
python eval.py experiment=reduce_vs_tier data.max_samples=null output_dir=outputs/reduced
python docs/reductions_figure.py docs/reductions.svg outputs/tiers outputs/reduced
"""

from __future__ import annotations

import sys
from pathlib import Path

from matplotlib import rc_context

from tierexp.report.comparison import runs_below
from tierexp.report.reduction_figure import reduction_curve
from tierexp.report.reductions import HEAD, rival_rows, task_rows


def main(target: str, *folders: str) -> None:
    """Read every results file below `folders`, write `target` and print Markdown."""
    runs = [run for folder in folders for run in runs_below(Path(folder))]
    figure = reduction_curve(runs)
    with rc_context({"svg.hashsalt": "tierexp"}):  # the same results, the same file
        figure.savefig(target, metadata={"Date": None})
    for head, *rows in ([HEAD, *rival_rows(runs)], task_rows(runs)):
        lines = [head, ["---"] * len(head), *rows]
        sys.stdout.write("".join(f"| {' | '.join(line)} |\n" for line in lines) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
