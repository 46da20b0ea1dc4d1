"""Lightning without what an evaluation never uses."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

import pytest
import torch

from tierexp.runtime.lean_imports import _OptimizedModule, as_if_without

HEAVY = "{'matplotlib', 'scipy', 'transformers', 'sympy', 'pandas', 'torch._dynamo'}"


def test_a_package_that_is_hidden_is_neither_importable_nor_installed() -> None:
    assert "sacrebleu" not in sys.modules
    with as_if_without("sacrebleu"):
        with pytest.raises(ModuleNotFoundError):
            import sacrebleu  # noqa: F401
        with pytest.raises(PackageNotFoundError):
            version("sacrebleu")
        assert version("pytest") == pytest.__version__
    assert find_spec("sacrebleu") is not None
    assert version("sacrebleu")


def test_what_is_imported_already_stays() -> None:
    with as_if_without("pytest"):
        assert version("pytest") == pytest.__version__
        assert find_spec("pytest") is not None
    assert sys.modules["pytest"] is pytest


@pytest.mark.whole
def test_compiled_modules_are_known_for_what_they_are() -> None:
    plain = torch.nn.Linear(1, 1)
    assert not isinstance(plain, _OptimizedModule)
    assert isinstance(torch.compile(plain), _OptimizedModule)


@pytest.mark.whole
def test_lightning_comes_without_them_and_they_can_be_had_afterwards() -> None:
    script = (
        "import gc, sys\n"
        "from tierexp.runtime.lean_imports import lean_imports\n"
        "with lean_imports():\n"
        "    assert not gc.isenabled()\n"
        "assert gc.isenabled() and gc.get_freeze_count()\n"
        "import lightning, torch\n"
        f"heavy = {HEAVY} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
        "assert isinstance(lightning.Trainer, type)\n"
        "import importlib.util as found\n"
        "assert all(found.find_spec(name) for name in ('matplotlib', 'scipy', 'transformers'))\n"
        "assert hasattr(torch._dynamo, 'explain')\n"
        "from lightning_utilities.core.imports import module_available, package_available\n"
        "assert module_available('transformers') and package_available('matplotlib')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_who_imports_torchmetrics_afterwards_gets_all_of_it() -> None:
    script = (
        "from tierexp.runtime.lean_imports import import_lightning\n"
        "import_lightning()\n"
        "from torchmetrics.multimodal import CLIPScore\n"
        "from torchmetrics.text import BERTScore, CharErrorRate\n"
        "rate = CharErrorRate()\n"
        "rate.update(['a'], ['b'])\n"
        "rate.plot()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
