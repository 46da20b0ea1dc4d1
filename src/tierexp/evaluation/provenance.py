"""Which code, versions and device a result came from."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tierexp.evaluation.results import Provenance
from tierexp.loading import checkout

_OPTIONAL = ("transformers",)
"""Recorded where they are installed: some models come from them."""

_PACKAGES = (
    "torch", "numpy", "pillow", "tokenizers", "safetensors", "lightning", "torchmetrics", "tierexp",
)  # fmt: skip


def gather_provenance(config: dict[str, Any], seed: int | None, device: str) -> Provenance:
    """What a reader needs to repeat a run.

    Args:
        config: The resolved configuration.
        seed: Of everything random; None where nothing is.
        device: The model ran on, in words.
    """
    root = checkout()
    commit = None if root is None else _git(root, "rev-parse", "HEAD")
    changes = None if root is None else _git(root, "status", "--porcelain")
    return Provenance(
        config=config,
        git_commit=commit,
        git_dirty=None if commit is None or changes is None else bool(changes),
        versions={
            "python": platform.python_version(),
            **{package: version(package) for package in _PACKAGES},
            **{package: version(package) for package in _OPTIONAL if find_spec(package)},
        },
        seed=seed,
        device=device,
    )


def _git(root: Path, *arguments: str) -> str | None:
    """What git prints, None where there is no git or no repository."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
