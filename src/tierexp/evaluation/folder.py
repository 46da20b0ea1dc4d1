"""A run's folder: what earlier runs have finished in it, and who may write there.

In: a folder, and whether to go on or to overwrite. Out: nothing, or one line. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tierexp.config.rank import is_rank_zero
from tierexp.errors import ConfigError
from tierexp.results.files import finished_results
from tierexp.runtime.folder_lock import folder_lock


def refuse_results(folder: Path, resume: bool, overwrite: bool) -> None:
    """Refuse a folder with results that are not to be touched.

    Args:
        folder: Folder of a run; it need not be there.
        resume: Whether the run is to go on with what is there.
        overwrite: Whether what is there may go.

    Raises:
        ConfigError: It is one.
    """
    found = finished_results(folder)
    if found and not (resume or overwrite):
        allowed = (
            f"a folder without results ({found[0].name}): resume=true keeps them and goes on with "
            "what is missing, overwrite=true replaces them"
        )
        raise ConfigError("output_dir", str(folder), allowed)


@contextmanager
def claimed(folder: Path, resume: bool, overwrite: bool) -> Iterator[None]:
    """Hold a folder for one run, from before it is looked into until all is written.

    Of processes that somebody else has started for the same run, the first holds it for all.

    Args:
        folder: Folder of the run; made where it is missing.
        resume: Whether the run is to go on with what is there.
        overwrite: Whether what is there may go.

    Raises:
        ConfigError: Another run writes there, or it holds results that are not to be touched.
    """
    if not is_rank_zero():
        yield
        return
    with folder_lock(folder):
        refuse_results(folder, resume, overwrite)
        yield
