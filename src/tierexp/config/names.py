"""Names of runs and of their folders, made of what the user wrote; OmegaConf's resolvers for them.

In: choices, overrides, and the time. Out: names for loggers and for the file system.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Sequence
from pathlib import Path

from omegaconf import OmegaConf

from tierexp.config.written import overrides_of

_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_LONGEST = 80
"""Characters of a folder's name that say what varies; the number before them tells it apart."""
_DIGITS = 6
_LAUNCHES = (
    ("SLURM_NTASKS", ("SLURM_JOB_ID", "SLURM_STEP_ID")),
    ("WORLD_SIZE", ("TORCHELASTIC_RUN_ID", "MASTER_ADDR", "MASTER_PORT")),
)
"""Where srun and torchrun say that a run has several processes, and which run it is."""


_TOLD_IN_NAMES = ("tier", "threshold", "policy", "resize", "model")
"""Groups whose overrides, beside the choices of data and tier, tell runs of a sweep apart."""


def run_name(data: str, tier: str, overrides: Sequence[str]) -> str:
    """A name for people: `tierqa_medium`, and what else was asked for, `_top_k-1`; no paths.

    Args:
        data: The choice of the group `data`.
        tier: The choice of the group `tier`.
        overrides: Overrides of the run.
    """
    parts = [data, tier]
    for key, value in overrides_of(overrides).items():
        group, _, name = key.partition(".")
        told = group in _TOLD_IN_NAMES and (name or group not in ("tier", "model"))
        if told and "/" not in str(value):
            parts.append(f"{name or group}-{value}".replace(" ", ""))
    return "_".join(parts)


def sweep_group(mode: object, folder: str) -> str | None:
    """What the runs of a multirun have in common, for loggers that group runs: the name of its
    folder, with the day where the folder is named by the time; None for a run of its own.

    Args:
        mode: Hydra's; None while only a configuration is composed.
        folder: Folder of the multirun.
    """
    if getattr(mode, "name", None) != "MULTIRUN":
        return None
    *_, day, name = Path(folder).absolute().parts
    return f"{day}_{name}" if _DAY.fullmatch(day) else name


def launch_id() -> str:
    """What tells commands apart that begin in the same second: six hexadecimal digits, random, and
    the same in all processes that srun or torchrun have started for one run.
    """
    for size, run in _LAUNCHES:
        if os.environ.get(size, "1") != "1":
            words = " ".join(os.environ.get(name, "") for name in run)
            return hashlib.sha256(words.encode()).hexdigest()[:_DIGITS]
    return secrets.token_hex(_DIGITS // 2)


def run_folder(number: int, varied: str) -> str:
    """The name of a run's folder in that of its multirun: `0_tier-low`; the number alone where
    nothing varies.

    Args:
        number: Number of the run, from 0: no other has it.
        varied: Keys and values of what varies, as Hydra joins them.
    """
    words = re.sub(r"[^\w.+=]+", "-", varied).strip("-_")[:_LONGEST]
    return f"{number}_{words}" if words else str(number)


OmegaConf.register_new_resolver("tierexp.run_name", run_name, replace=True)
OmegaConf.register_new_resolver("tierexp.sweep_group", sweep_group, replace=True)
OmegaConf.register_new_resolver("tierexp.launch_id", launch_id, replace=True, use_cache=True)
OmegaConf.register_new_resolver("tierexp.run_folder", run_folder, replace=True)
