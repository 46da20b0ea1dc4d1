"""Settings as results, loggers and comparisons want them.

In: resolved configurations, as results keep them. Out: the part that decides what is measured, and
flat keys. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_BESIDE = (
    "output_dir", "resume", "overwrite", "run_name", "logger", "validate", "data.num_workers",
    # How many processes; the kind of device is told beside the settings.
    "trainer.accelerator", "trainer.devices", "trainer.num_nodes", "trainer.strategy",
)  # fmt: skip


def resume_key(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that measurements depend on: those a run has to share to go on.

    Args:
        settings: A resolved configuration.
    """
    part = {key: value for key, value in settings.items() if key not in _BESIDE}
    for group in ("data", "trainer"):
        if group in part:
            values = part[group].items()
            part[group] = {k: v for k, v in values if f"{group}.{k}" not in _BESIDE}
    return part


def flat(settings: Mapping[str, Any], separator: str = ".") -> dict[str, Any]:
    """Nested settings by one key each.

    Args:
        settings: Of any depth.
        separator: Between the names of a key; with `.` it is the command line's, `model.top_k`.
    """
    keys: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            below = flat(value, separator)
            keys |= {f"{name}{separator}{key}": below[key] for key in below}
        else:
            keys[name] = value
    return keys
