r"""Draw the README's curve from the results files of a real sweep.

python eval.py -m tier=low,medium,high,fixed_288,fixed_432,fixed_720,fixed_1008,fixed_1440 \
        logger=none output_dir=outputs/curve
python docs/curve_figure.py outputs/curve docs/curve.svg
"""

from __future__ import annotations

import sys
from pathlib import Path

from matplotlib import rc_context

from tierexp.report.accuracy_curve import accuracy_curve
from tierexp.results.files import load_results


def main(folder: str, target: str) -> None:
    """Read every results file below `folder` and write `target`."""
    runs = [load_results(path) for path in sorted(Path(folder).rglob("*_tier-*.json"))]
    figure = accuracy_curve(runs, runs[0].chance if runs else None)
    with rc_context({"svg.hashsalt": "tierexp"}):  # the same results, the same file
        figure.savefig(target, metadata={"Date": None})


if __name__ == "__main__":
    main(*sys.argv[1:])
