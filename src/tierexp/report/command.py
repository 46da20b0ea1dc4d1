"""`python report.py DIR`: results files in, one page out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tierexp.config.refusal import OneLineParser, refuse, refusing
from tierexp.results.files import finished_results, runs_in, without_results


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the page and say where it is.

    Args:
        arguments: Arguments of the command line; None for those of this process.

    Raises:
        SystemExit: With code 2 after one line about what cannot work, 1 after one about a full
            disk and the like.
    """
    parser = OneLineParser(
        description="Write report.html, one self-contained page, and figures/ (SVG, PNG) into a "
        "folder with the results files of a sweep: accuracy against vision tokens and latency, "
        "targets met and missed, distributions, how images are tiled, where runs disagree.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="results lie in it or below")
    parser.add_argument(
        "--wandb", action="store_true",
        help="also log the page to W&B, into the project and group of the sweep's runs",
    )  # fmt: skip
    given = parser.parse_args(arguments)
    folder: Path = given.folder
    if not any(map(finished_results, runs_in(folder))):  # said before matplotlib is imported
        refuse(without_results(folder) if folder.is_dir() else f"{folder} is not a folder")
    try:
        from tierexp.report.page import write_report
    except ModuleNotFoundError as error:
        if error.name not in ("jinja2", "matplotlib"):
            raise
        refuse(f"the report needs {error.name}: pip install 'tierexp[report]'")
    with refusing():
        page = write_report(folder)
        sys.stdout.write(f"report  {page}\n")
        if given.wandb:
            from tierexp.report.page import reported_runs
            from tierexp.report.wandb_report import log_report

            sys.stdout.write(f"logged  {log_report(page, reported_runs(folder))}\n")
