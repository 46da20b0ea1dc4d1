"""What the user wrote on the command line, as keys and values.

In: overrides, as strings or as Hydra keeps them for the run at hand. Out: the same by key, for
whoever has to refuse one that nothing would read. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode


def written_overrides() -> dict[str, object]:
    """Keys and values that the user wrote on the command line for the run at hand; a deleted key
    has the value None, and outside of a run nothing was written.
    """
    if not HydraConfig.initialized():
        return {}
    return overrides_of(HydraConfig.get().overrides.task)


def varies(key: str) -> bool:
    """Whether the run at hand is one of a sweep in which a key is not the same for all.

    Args:
        key: Key of a setting, or a group.
    """
    if not HydraConfig.initialized():
        return False
    hydra = HydraConfig.get()
    # Where a sweep begins, what its runs have in common is left out of their names.
    common = hydra.job.config.override_dirname.exclude_keys
    return hydra.mode == RunMode.MULTIRUN and key in written_overrides() and key not in common


def overrides_of(arguments: Sequence[str]) -> dict[str, object]:
    """Keys and values of the arguments that are overrides; None for one that gives several values.

    Args:
        arguments: Arguments of a command line.
    """
    return {
        override.key_or_group: None if override.is_sweep_override() else override.value()
        for override in parsed_overrides(arguments)
    }


def parsed_overrides(arguments: Sequence[str]) -> list[Override]:
    """The arguments that are overrides.

    Args:
        arguments: Arguments of a command line.
    """
    parser = OverridesParser.create()
    overrides = []
    for argument in arguments:
        try:
            overrides.append(parser.parse_override(argument))
        except HydraException:
            continue
    return overrides
