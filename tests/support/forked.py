"""A run in a process of its own that imports nothing again: a copy of the test's, as the workers of
PyTorch's data loader are."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess

import torch


def forked(run: Callable[[], object], variables: Mapping[str, str]) -> BaseProcess:
    """Begin it.

    Args:
        run: What the process does.
        variables: Of its environment, beside those of this one.
    """

    import tierexp.evaluation.engine  # noqa: F401  here, lest both import it

    def begin() -> None:
        torch.set_num_threads(1)  # a copy has none of the others
        os.environ.update(variables)
        run()

    process = multiprocessing.get_context("fork").Process(target=begin)
    process.start()
    return process
