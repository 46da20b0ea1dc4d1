"""Loggers whose runs have to be closed, and the block that closes them whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

from lightning.pytorch.loggers import Logger


@runtime_checkable
class ClosedLogger(Protocol):
    """A logger of runs that have to be closed."""

    def finish(self, exit_code: int) -> None:
        """Write what is left and close the run, so that a next one in this process is its own.

        Args:
            exit_code: 0 where the run has ended well.
        """


@contextmanager
def closing(logger: Logger) -> Iterator[Logger]:
    """Close a logger's run whatever happens, so that the next run of a multirun is not added to it.

    Args:
        logger: Any; one that is not a `ClosedLogger` has nothing to close.
    """
    try:
        yield logger
    except BaseException:
        if isinstance(logger, ClosedLogger):
            logger.finish(exit_code=1)
        raise
    if isinstance(logger, ClosedLogger):
        logger.finish(exit_code=0)
