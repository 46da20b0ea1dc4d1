"""How samples are loaded, whatever the data set: the keys of the group `data` that all share."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import get_args

from omegaconf import DictConfig

from tierexp.config.build import has_target, resolved
from tierexp.config.checks import choice, whole_number
from tierexp.data.sample import OnError
from tierexp.data.sizes import read_sizes
from tierexp.errors import ConfigError

MAX_BATCH_SIZE = 4096
"""Samples of a batch are in memory together with their images."""
MAX_WORKERS = 256
"""Every worker is a process."""


@dataclass(frozen=True)
class LoaderSettings:
    """How samples are loaded, whatever the data set.

    Args:
        batch_size: Most samples of a batch.
        num_workers: Worker processes; 0 prepares in the main process.
        on_error: What a sample does whose image cannot be read, or that does not fit into memory
            alone: `skip` counts it as failed, `raise` ends the run.

    Raises:
        ConfigError: A number is too small or too large, or another word.
    """

    batch_size: int
    num_workers: int
    on_error: OnError

    def __post_init__(self) -> None:
        whole_number("data.batch_size", self.batch_size, 1, MAX_BATCH_SIZE)
        whole_number("data.num_workers", self.num_workers, 0, MAX_WORKERS)
        choice("data.on_error", self.on_error, get_args(OnError))

    @classmethod
    def names(cls) -> list[str]:
        """Those of the group `data` that are not the data set's own."""
        return [field.name for field in fields(cls)]

    @classmethod
    def from_config(cls, config: DictConfig) -> LoaderSettings:
        """What the group `data` says of loading.

        Args:
            config: As composed.

        Raises:
            ConfigError: Sizes without images, a value that cannot work, or one that is missing.
        """
        if has_target(config, "data", read_sizes):
            allowed = (
                "images for a model to see, such as tierqa or folder; sizes suffice to model=none"
            )
            raise ConfigError("data", "sizes", allowed)
        data = resolved(config.data)
        for name in cls.names():
            if name not in data:
                raise ConfigError(f"data.{name}", None, "it has been deleted, and loading needs it")
        return cls(**{name: data[name] for name in cls.names()})
