"""What makes the tests faster without changing what they test.

As many threads per test process as leave every process its own cores: threads that wait for others
to get a core spin meanwhile, and two processes of two threads each on two cores train ten times
slower than with one.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator
from unittest.mock import patch

import hypothesis
import pytest

pytest_plugins = ["tests.support.pages"]

if "PYTEST_XDIST_WORKER" in os.environ:  # before torch or numpy are imported
    processes = int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    threads = max(1, (os.cpu_count() or 1) // processes)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))


# Whether a test passes does not depend on how busy the machine is.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

gc.disable()  # until the tests are collected: imports make no garbage, and a fifth of their time


def pytest_collection_finish() -> None:
    """Collections need not look at what imports have left, time and again."""
    gc.enable()
    gc.collect()
    gc.freeze()


_MANY_MODULES = 200
_looked_at = 0


@pytest.fixture(autouse=True)
def imports_are_kept() -> None:
    """Nor at what tests have imported since: runs collect garbage before they load a model."""
    global _looked_at
    if len(sys.modules) > _looked_at + _MANY_MODULES:
        _looked_at = len(sys.modules)
        pytest_collection_finish()


@pytest.fixture(autouse=True, scope="session")
def unfreeze() -> Iterator[Callable[[], None]]:
    """At its end a run lets Python look for garbage everywhere again, and the next one would look
    through all imports: here it does nothing. Whoever asks for it has the real one to call.
    """
    real = gc.unfreeze
    with patch.object(gc, "unfreeze"):
        yield real


@pytest.fixture(autouse=True)
def wandb_of_this_test() -> None:
    """W&B reads its environment once per process, and a test's is its own."""
    if "wandb" in sys.modules:
        import wandb
        from wandb.sdk import wandb_setup

        if wandb_setup.singleton().settings_if_loaded is not None:
            wandb.teardown()


@pytest.fixture(autouse=True, scope="session")
def composed_quickly() -> Iterator[None]:
    """Thousands of configurations are composed from the same few files."""
    from tests.support.composing import composing_quickly

    with composing_quickly():
        yield


@pytest.fixture(autouse=True, scope="session")
def pictures_are_small() -> Iterator[None]:
    """Nearly every run draws pictures of samples, and few tests look at them."""
    from tierexp.report.tiling_figure import draw_tiling

    with patch.object(draw_tiling, "__defaults__", (64, 2)):
        yield


@pytest.fixture(autouse=True, scope="session")
def disks_are_not_waited_for() -> Iterator[None]:
    """What tests write need not outlast a power cut."""
    with patch.object(os, "fsync", lambda _: None):
        yield
