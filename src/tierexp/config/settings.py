"""Settings as results, loggers and comparisons want them.

In: resolved configurations, as results keep them. Out: the part that decides what is measured, and
flat keys. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tierexp.errors import ConfigError

_BESIDE = (
    "output_dir", "resume", "overwrite", "run_name", "logger", "results", "validate",
    "data.num_workers",
    # How many processes; the kind of device is told beside the settings.
    "trainer.accelerator", "trainer.devices", "trainer.num_nodes", "trainer.strategy",
)  # fmt: skip


_NOTHING = (("logger", "none"), ("latency", "off"), ("reduction", "none"))
"""What just says that there is none."""


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
        settings: Settings of any depth.
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


def logged_settings(settings: Mapping[str, Any], tier: str, tokens: int) -> dict[str, Any]:
    """What a logger keeps of a run's settings: flat keys to filter on, such as `model/top_k`, as
    metrics have them, and `tier_ordered`, which sorts tiers by their tokens.

    Args:
        settings: A resolved configuration.
        tier: Name of the tier, or the policy, that it describes.
        tokens: That are to be expected of it.
    """
    kept = {k: v for k, v in flat(settings, "/").items() if not k.endswith("_target_")}
    return {"tier_ordered": f"{tokens:05d} {tier}"} | kept


def refuse_unread(written: Mapping[str, object], unread: Sequence[str], way_out: str) -> None:
    """Refuse what the user wrote and nothing would read; defaults of the same keys are no harm.

    Args:
        written: Keys and values that the user wrote on the command line.
        unread: Groups and keys.
        way_out: What to do instead.

    Raises:
        ConfigError: One of them was written, and it does not just say that there is none.
    """
    for key, value in written.items():
        named = any(key == name or key.startswith(f"{name}.") for name in unread)
        if named and (key, value) not in _NOTHING:
            raise ConfigError(key, value, way_out)
