"""Which settings a measurement depends on, and by what runs differ.

In: resolved configurations, as results keep them. Out: the part that decides what is measured, and
flat keys. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_BESIDE = (
    "output_dir", "resume", "run_name", "logger", "validate", "data.num_workers",
)  # fmt: skip


def measured_by(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that measurements depend on: those a run has to share to go on.

    Args:
        settings: A resolved configuration.
    """
    part = {key: value for key, value in settings.items() if key not in _BESIDE}
    if "data" in part:
        part["data"] = {k: v for k, v in part["data"].items() if f"data.{k}" not in _BESIDE}
    return part


def flat(settings: Mapping[str, Any], parent: str = "") -> dict[str, Any]:
    """Nested settings by the keys that name them on a command line, `model.top_k`."""
    keys: dict[str, Any] = {}
    for name, value in settings.items():
        key = f"{parent}{name}"
        keys |= flat(value, f"{key}.") if isinstance(value, Mapping) else {key: value}
    return keys
