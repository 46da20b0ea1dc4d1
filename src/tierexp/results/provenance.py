"""Which code, versions, device and inputs a result came from."""

from __future__ import annotations

import hashlib
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig

from tierexp.config.location import checkout
from tierexp.data.plan import readable_sizes
from tierexp.data.sample import QuestionDataset
from tierexp.models.protocol import HasCheckpoint, ModelSource
from tierexp.results.schema import Provenance

_OPTIONAL = ("transformers",)
"""Recorded where they are installed: some models come from them."""

_PACKAGES = (
    "torch", "numpy", "pillow", "tokenizers", "safetensors", "lightning", "torchmetrics", "tierexp",
)  # fmt: skip


def gather_provenance(
    config: dict[str, Any], seed: int | None, device: str, inputs: dict[str, str] | None = None,
    checkpoint: str | None = None,
) -> Provenance:  # fmt: skip
    """What a reader needs to repeat a run.

    Args:
        config: The resolved configuration.
        seed: Seed of everything random; None where nothing is.
        device: The model ran on, in words.
        inputs: As from `digest_inputs`; None without a model.
        checkpoint: As from `checkpoint_of`.
    """
    commit, dirty = _code(checkout())
    return Provenance(
        config=config,
        git_commit=commit,
        git_dirty=dirty,
        versions=dict(_versions()),
        seed=seed,
        device=device,
        inputs=inputs or {},
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        command=_command(),
        checkpoint=checkpoint,
    )


def checkpoint_of(source: ModelSource) -> str | None:
    """Digest of what a model's weight files hold; None of a model without files."""
    return source.checkpoint_digest if isinstance(source, HasCheckpoint) else None


def digest_inputs(dataset: QuestionDataset, source: ModelSource) -> dict[str, str]:
    """What would go unnoticed in a configuration: other weights or samples under the same names.

    Args:
        dataset: Read from it: every sample's id, question, answers and image key, and the size of
            every image; no pixels.
        source: Read from it: the names of the weight files, when they were last changed, and what
            its knobs read from elsewhere.
    """
    samples, sizes = hashlib.sha256(), readable_sizes(dataset)
    for index in range(len(dataset)):
        sample = dataset[index]
        size = sizes[0].get(index) or sizes[1][index]
        values = sample.sample_id, sample.question, sample.answers, dataset.image_key(index), size
        samples.update(repr(values).encode())
    knobs = getattr(source, "knob_fingerprints", None)
    weights = hashlib.sha256(repr((source.weights, knobs)).encode())
    return {"weights": weights.hexdigest()[:16], "samples": samples.hexdigest()[:16]}


def _command() -> str | None:
    """What was written on the command line; a run of a sweep has its own part of it."""
    if HydraConfig.initialized():
        hydra = HydraConfig.get()
        return shlex.join([f"{hydra.job.name}.py", *hydra.overrides.task])
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]) if sys.argv else None


# A process runs the code and the packages that it began with, in every run of a multirun.


@cache
def _versions() -> dict[str, str]:
    packages = (*_PACKAGES, *(package for package in _OPTIONAL if find_spec(package)))
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


@cache
def _code(root: Path | None) -> tuple[str | None, bool | None]:
    """The commit, and whether there are changes beside it; None where nobody can say."""
    if root is None:
        return None, None
    commit, changes = _git(root, "rev-parse", "HEAD"), _git(root, "status", "--porcelain")
    return commit, None if commit is None or changes is None else bool(changes)


def _git(root: Path, *arguments: str) -> str | None:
    """What git prints, None where there is no git or no repository."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
