"""`python compare.py PATH...`: results files in, older ones among them, one comparison out."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from tierexp.config.refusal import OneLineParser, refusing
from tierexp.errors import DataError
from tierexp.report.compared import (
    ComparedRun,
    compared,
    compared_model_free,
    compared_older,
)
from tierexp.report.comparison import FILE_NAME, compare, compared_below
from tierexp.results.files import is_model_free, load_results, without_results
from tierexp.results.model_free import load_model_free_results
from tierexp.results.older import EXPECTED, PATTERN, read_older_results


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the comparison and write it to a file.

    Args:
        arguments: Arguments of the command line; None for those of this process.

    Raises:
        SystemExit: With code 2 after one line about what cannot work, 1 after one about a full
            disk and the like.
    """
    parser = OneLineParser(
        description="Compare results files: one line each, the targets between runs that differ in "
        f"their crop policy alone, and the same as JSON. Files of the older naming, {EXPECTED}, "
        "count as the baselines fixed_<tokens>; what they do not say stays empty.",
    )
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH",
        help="a results file, or a folder with some in it or below",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, metavar="FILE",
        help=f"where the JSON goes (default: {FILE_NAME} in the folder given, or in the one that "
        "holds all the paths)",
    )  # fmt: skip
    parsed = parser.parse_args(arguments)
    with refusing():
        runs = [run for path in parsed.paths for run in _runs(path)]
        if len(runs) < 2:
            raise DataError(f"there is {len(runs)} results file, a comparison takes two or more")
        output = parsed.output or _common_folder(parsed.paths) / FILE_NAME
        if not output.parent.is_dir():
            raise DataError(f"--output: {output.parent} is not a folder")
        if output.is_dir():
            raise DataError(f"--output: {output} is a folder; it takes a file")
        compare(runs, output, Console())


def _common_folder(paths: Sequence[Path]) -> Path:
    """The folder that was given, or the innermost one that holds all that was given."""
    folders = [path if path.is_dir() else path.parent for path in paths]
    if len(folders) == 1:
        return folders[0]
    return Path(os.path.commonpath([folder.resolve() for folder in folders]))


def _runs(path: Path) -> Iterator[ComparedRun]:
    if not path.exists():
        raise DataError(f"{path} is no file and no folder")
    if not path.is_dir():
        if not path.match("*_tier-*.json"):
            yield compared_older(read_older_results(path))
        elif is_model_free(path):
            yield compared_model_free(load_model_free_results(path))
        else:
            yield compared(load_results(path))
        return
    found = compared_below(path)
    yield from found
    older_files = sorted(path.rglob(PATTERN))
    for file in older_files:
        yield compared_older(read_older_results(file))
    if not found and not older_files:
        raise DataError(without_results(path))
