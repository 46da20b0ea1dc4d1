"""Hydra composes a command's configuration without doing again what it did for another command.

A process composes once or twice in its life, tests do it more than a thousand times in one. What is
kept: the tree of a YAML text, the parse of an interpolation, what the same choices of options made
of the project's own folders before any value is overridden, and the knowledge that no command asks
for a multirun by `hydra.mode` unless an experiment or one of Hydra's own keys does. The
configurations are the same; `tests/cli/test_composing.py` holds them against Hydra's own.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import lru_cache
from pathlib import Path
from typing import Any, TextIO
from unittest.mock import patch

import omegaconf.base
import omegaconf.omegaconf
import yaml
from hydra._internal import config_loader_impl
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import IConfigRepository
from hydra._internal.core_plugins import file_config_source
from hydra._internal.defaults_list import DefaultsList, create_defaults_list
from hydra._internal.hydra import Hydra
from hydra.core.default_element import ResultDefault
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf._utils import get_omega_conf_dumper
from omegaconf.grammar_parser import parse

_COMPOSED = Hydra.get_mode
_MERGED = ConfigLoaderImpl._compose_config_from_defaults_list
_ROOT = Path(__file__).parents[2]
_FOLDERS = ("conf", "tests/conf", "tests/extending", "tests/extending/my")
_UNCHANGING = ("", "hydra.conf", *(str(_ROOT / folder) for folder in _FOLDERS))
"""The folders (and packages) whose files no test writes."""
_texts: dict[str, bytes] = {}
_chosen: dict[tuple[object, ...], DefaultsList] = {}
_parse = lru_cache(maxsize=4096)(parse)


class _KeptTexts(OmegaConf):
    """Reads a text as YAML once."""

    @staticmethod
    def load(file_: TextIO) -> DictConfig | ListConfig:  # type: ignore[override]
        """A copy of what the text holds."""
        text = file_.read()
        if text not in _texts:
            file_.seek(0)
            _texts[text] = pickle.dumps(OmegaConf.load(file_))
        kept: DictConfig | ListConfig = pickle.loads(_texts[text])
        return kept


class _KeptDefaults(list[ResultDefault]):
    """The files that a choice of options names, and what they make together."""

    merged: bytes | None = None
    """Pickled, which is read faster than a tree is copied."""


def _defaults_list(
    repo: IConfigRepository,
    config_name: str | None,
    overrides_list: list[Override],
    prepend_hydra: bool,
    skip_missing: bool,
) -> DefaultsList:
    """The list that the chosen options make; overridden values have no part in it."""
    choices, values = [], []
    for one in overrides_list:
        if not one.is_sweep_override():
            is_value = isinstance(one.value(), dict) or not repo.group_exists(one.key_or_group)
            (values if is_value else choices).append(one)
    places = tuple(source.path for source in repo.get_sources())
    if not all(place in _UNCHANGING for place in places):
        return create_defaults_list(repo, config_name, overrides_list, prepend_hydra, skip_missing)
    lines = tuple(one.input_line for one in choices)
    key = (places, config_name, lines, prepend_hydra, skip_missing)
    if key not in _chosen:
        made = create_defaults_list(repo, config_name, choices, prepend_hydra, skip_missing)
        made.defaults = _KeptDefaults(made.defaults)
        _chosen[key] = made
    kept = _chosen[key]
    return DefaultsList(kept.defaults, kept.defaults_tree, values, kept.overrides)


def _merged(
    loader: ConfigLoaderImpl, defaults: list[ResultDefault], repo: IConfigRepository
) -> DictConfig:
    if not isinstance(defaults, _KeptDefaults):
        return _MERGED(loader, defaults, repo)
    if defaults.merged is None:
        defaults.merged = pickle.dumps(_MERGED(loader, defaults, repo))
    merged: DictConfig = pickle.loads(defaults.merged)
    return merged


def _mode(hydra: Hydra, config_name: str | None, overrides: Sequence[str]) -> Any:
    """`hydra.mode`, composed only where something could have set it."""
    if any("experiment" in override or "hydra" in override for override in overrides):
        return _COMPOSED(hydra, config_name, list(overrides))
    return None


_COPIED = DictConfig.__deepcopy__


def _copied(config: DictConfig, memo: dict[int, Any]) -> DictConfig:
    """A copy of a whole configuration, which is no part of another one."""
    if config._get_parent() is not None:
        return _COPIED(config, memo)
    try:
        copied: DictConfig = pickle.loads(pickle.dumps(config))
    except (pickle.PicklingError, AttributeError, TypeError):  # holds an object of a test's own
        return _COPIED(config, memo)
    return copied


class _Dumper(yaml.CDumper):
    """OmegaConf's way of writing YAML."""

    yaml_representers = get_omega_conf_dumper().yaml_representers


_PLACES: tuple[tuple[Any, str, Any], ...] = (
    (file_config_source, "OmegaConf", _KeptTexts),
    (omegaconf.base, "parse", _parse),
    (config_loader_impl, "create_defaults_list", _defaults_list),
    (ConfigLoaderImpl, "_compose_config_from_defaults_list", _merged),
    (Hydra, "get_mode", _mode),
    (DictConfig, "__deepcopy__", _copied),
    (omegaconf.omegaconf, "get_omega_conf_dumper", lambda: _Dumper),
)
_HYDRAS = tuple((owner, name, getattr(owner, name)) for owner, name, _ in _PLACES)


def composing_quickly() -> AbstractContextManager[object]:
    """What is composed inside takes what is known from before."""
    Plugins.instance()  # which runs the modules of Hydra's own plugins anew
    return _with(_PLACES)


def composing_as_hydra_does() -> AbstractContextManager[object]:
    """What is composed inside is composed anew, by Hydra's own code."""
    return _with(_HYDRAS)


def _with(places: Iterable[tuple[Any, str, Any]]) -> AbstractContextManager[object]:
    stack = ExitStack()
    for place in places:
        stack.enter_context(patch.object(*place))
    return stack
