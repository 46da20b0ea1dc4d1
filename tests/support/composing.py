"""Hydra composes a command's configuration without doing again what it did for another command.

A process composes once or twice in its life, tests do it more than a thousand times in one. What is
kept: the tree of a YAML text, the parse of an interpolation, and the knowledge that no command asks
for a multirun by `hydra.mode` unless an experiment or one of Hydra's own keys does. The
configurations are the same; `tests/cli/test_composing.py` holds them against Hydra's own.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TextIO
from unittest.mock import patch

import omegaconf.base
from hydra._internal.core_plugins import file_config_source
from hydra._internal.hydra import Hydra
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.grammar_parser import parse

_COMPOSED = Hydra.get_mode
_texts: dict[str, DictConfig | ListConfig] = {}
_parse = lru_cache(maxsize=4096)(parse)


@contextmanager
def composing_quickly() -> Iterator[None]:
    """What is composed inside takes what is known from before."""
    with (
        patch.object(file_config_source, "OmegaConf", _KeptTexts),
        patch.object(omegaconf.base, "parse", _parse),
        patch.object(Hydra, "get_mode", _mode),
    ):
        yield


class _KeptTexts(OmegaConf):
    """Reads a text as YAML once."""

    @staticmethod
    def load(file_: TextIO) -> DictConfig | ListConfig:  # type: ignore[override]
        """A copy of what the text holds."""
        text = file_.read()
        if text not in _texts:
            file_.seek(0)
            _texts[text] = OmegaConf.load(file_)
        return copy.deepcopy(_texts[text])


def _mode(hydra: Hydra, config_name: str | None, overrides: Sequence[str]) -> Any:
    """`hydra.mode`, composed only where something could have set it."""
    if any("experiment" in override or "hydra" in override for override in overrides):
        return _COMPOSED(hydra, config_name, list(overrides))
    return None
