"""From a composed configuration to objects, refusing what cannot work in one line.

In: the `DictConfig` that Hydra composed. Out: the object of a group, or a `ConfigError` that names
the key, the value and what is allowed. Knows no group by name; imports only what a `_target_` asks
for, so that light groups are checked before anything heavy is loaded.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
from typing_extensions import get_protocol_members

import tierexp.config.names  # noqa: F401  registers its resolvers
from tierexp.config.credentials import refuse_credentials
from tierexp.config.location import own_config_dirs
from tierexp.errors import ConfigError, TierexpError

_MISSING = object()

OmegaConf.register_new_resolver(
    "tierexp.asset", lambda name: str(files("tierexp") / "assets" / name), replace=True
)
OmegaConf.register_new_resolver(
    "tierexp.folder_name", lambda folder: Path(folder).resolve().name, replace=True
)


def unknown_key(key: str, value: object, known: Iterable[str]) -> ConfigError:
    """The complaint about a key that nothing would read.

    Args:
        key: The full key.
        value: What it was to be set to.
        known: The keys that exist beside it, without their parents.
    """
    parent, _, name = key.rpartition(".")
    known = sorted(known)
    close = get_close_matches(name, known, n=1)
    guess = f"; did you mean {close[0]}?" if close else ""
    where = f"the keys of {parent}" if parent else "the keys"
    beside = f"{where} are {', '.join(known)}{guess}" if known else f"{parent} has none"
    return ConfigError(key, value, f"no such key; {beside}")


def refuse_unknown_keys(config: DictConfig, known: Iterable[str]) -> None:
    """Refuse top-level keys that `+key=value` can add and nothing would read.

    Args:
        config: The whole configuration.
        known: Its top-level keys.

    Raises:
        ConfigError: There is another one, or one is missing.
    """
    known = tuple(known)
    given = dict(config.items_ex(resolve=False))
    for key, value in given.items():
        if key not in known:
            raise unknown_key(str(key), value, known)
    for key in known:
        if key not in given:
            raise ConfigError(key, None, "it has been deleted, and nothing runs without it")
        if OmegaConf.is_missing(config, key):
            raise ConfigError(key, "???", f"it needs a value, {key}=...")


def resolved(config: DictConfig) -> dict[str, Any]:
    """A configuration, or a group of one, as plain Python with interpolations replaced.

    Raises:
        ConfigError: A value is missing or a secret, or an interpolation leads nowhere.
    """
    try:
        container = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        key = str(error.full_key)
        raise ConfigError(key, "???", f"it needs a value, {key}=...") from error
    except OmegaConfBaseException as error:
        raise interpolation_error(error) from error
    values = cast(dict[str, Any], container)
    refuse_credentials(values)
    return values


def interpolation_error(error: OmegaConfBaseException) -> TierexpError:
    """One line about a value of a configuration that leads nowhere, or is none at all."""
    reason = str(error.msg or error).strip().splitlines()[0]
    key = str(error.full_key or "")
    return ConfigError(key, "${...}", reason) if key else TierexpError(reason)


def has_target(config: DictConfig, key: str, kind: Callable[..., Any]) -> bool:
    """Whether a group describes an object of one kind, without making it.

    Args:
        config: The whole configuration.
        key: The group.
        kind: The class or function, named by `_target_` where it is defined.
    """
    group = config.get(key)
    target = group.get("_target_") if isinstance(group, DictConfig) else None
    return bool(target == f"{kind.__module__}.{kind.__qualname__}")


@dataclass(frozen=True)
class Blueprint:
    """A group of the configuration that is read and not built: what it takes to build may be heavy
    to import, or known only later.

    Args:
        key: The group.
        settings: Its keys and values, resolved, `_target_` among them.
        others: Keys of the group that are settings of something else, for messages.
    """

    key: str
    settings: Mapping[str, Any]
    others: tuple[str, ...] = ()

    def __call__(self, require_offered: bool = False, **offered: Any) -> Any:
        """The object.

        Args:
            require_offered: Refuse a target that does not take all that is offered.
            offered: Arguments that no configuration holds, for a target that takes them.

        Raises:
            ConfigError: A key that the target does not take, or lacks; a value it refuses.
            TierexpError: Whatever else of a user's doing the target complains about.
        """
        path = self.settings["_target_"]
        target = target_of(f"{self.key}._target_", path)
        given = _match_signature(self.key, target, self.settings, offered, self.others)
        if require_offered and (left := sorted(offered.keys() - given.keys())):
            allowed = f"something that takes {', '.join(left)}"
            raise ConfigError(f"{self.key}._target_", path, allowed)
        # Called here rather than by Hydra, which would wrap its errors and merge arguments as
        # settings.
        return _instantiated(self.key, dict(self.settings))(**given)


def blueprint(config: DictConfig, key: str, leave_out: Collection[str] = ()) -> Blueprint:
    """One group of the configuration, to be built later.

    Args:
        config: The whole configuration.
        key: The group; `a.b` is one within a group.
        leave_out: Keys of the group that are settings of something else.

    Raises:
        ConfigError: It is no group, has no `_target_`, or a value of it is missing or a secret.
    """
    group = OmegaConf.select(config, key)
    if not isinstance(group, DictConfig) or "_target_" not in group:
        raise ConfigError(key, group, "it has to be a group with a _target_")
    settings = {name: value for name, value in resolved(group).items() if name not in leave_out}
    return Blueprint(key, settings, tuple(leave_out))


def build(
    config: DictConfig,
    key: str,
    leave_out: Collection[str] = (),
    kind: type | None = None,
    require_offered: bool = False,
    **offered: Any,
) -> Any:
    """The object that one group of the configuration stands for by its `_target_`.

    Args:
        config: The whole configuration.
        key: The group; `a.b` is one within a group.
        leave_out: Keys of the group that are settings of something else.
        kind: A protocol whose members the object has to have.
        require_offered: Refuse a target that does not take all that is offered.
        offered: Arguments that no configuration holds, for a target that takes them.

    Raises:
        ConfigError: A key that the target does not take, or lacks; a value it refuses.
        TierexpError: Whatever else of a user's doing the target complains about.
    """
    made = blueprint(config, key, leave_out)(require_offered=require_offered, **offered)
    if kind is not None:
        require_members(f"{key}._target_", OmegaConf.select(config, key)._target_, made, kind)
    return made


def require_members(key: str, value: object, made: object, kind: type) -> None:
    """Refuse an object that cannot serve, whoever wrote its class.

    Args:
        key: That named it.
        value: What the key said.
        made: The object.
        kind: A protocol.

    Raises:
        ConfigError: A member of the protocol is missing.
    """
    # Properties are not evaluated: some read files.
    lacking = [
        name
        for name in sorted(get_protocol_members(kind))
        if inspect.getattr_static(made, name, _MISSING) is _MISSING
    ]
    if lacking:
        raise ConfigError(key, value, f"a {kind.__name__}; this one lacks {', '.join(lacking)}")


def find_modules_beside_options() -> None:
    """Let modules be imported that lie in the folder of `--config-dir`, beside the groups: what its
    options name in `_target_`. They come last, so that they hide nothing.
    """
    for folder in map(str, own_config_dirs()):
        if folder not in sys.path:
            sys.path.append(folder)
            # Worker processes that are started anew find them there.
            kept = os.environ.get("PYTHONPATH")
            os.environ["PYTHONPATH"] = f"{kept}{os.pathsep}{folder}" if kept else folder


def _instantiated(key: str, settings: Mapping[str, Any]) -> Callable[..., Any]:
    """What calls the target of a group, its nested targets made already.

    Raises:
        ConfigError: A nested one cannot be.
    """
    try:
        made: Callable[..., Any] = instantiate(settings, _partial_=True, _convert_="all")
    except InstantiationException as error:
        reason, _, place = str(error).rpartition("full_key:")
        nested = place.strip()
        value = settings.get(nested, settings)
        allowed = f"a group with a _target_ that can be called so: {' '.join(reason.split())}"
        raise ConfigError(f"{key}.{nested}", value, allowed) from error
    return made


def target_of(key: str, path: object) -> Callable[..., Any]:
    """The class or function at a dotted path.

    Args:
        key: That names it.
        path: Dotted, such as `tierexp.tiers.tier.Tier`.

    Raises:
        ConfigError: There is none, or its module cannot be imported.
    """
    module, _, name = str(path).rpartition(".")
    find_modules_beside_options()
    try:
        target: Callable[..., Any] = getattr(import_module(module), name)
    except Exception as error:  # whatever a module that is not ours does when it is imported
        unknown = isinstance(error, AttributeError | ValueError) or (
            isinstance(error, ModuleNotFoundError) and str(path).startswith(f"{error.name}.")
        )
        if unknown:
            raise ConfigError(key, path, "the path of a class or function") from error
        if module.partition(".")[0] == __package__.partition(".")[0]:
            raise  # a module of ours that lacks one of its own imports is a defect
        reason = f"{type(error).__name__}: {str(error).strip()}".splitlines()[0]
        allowed = f"something that can be imported; {module} cannot ({reason})"
        raise ConfigError(key, path, allowed) from error
    return target


def _match_signature(
    key: str,
    target: Callable[..., Any],
    settings: Mapping[str, Any],
    offered: Mapping[str, Any],
    others: Collection[str],
) -> dict[str, Any]:
    """Refuse settings that the target does not take; return what it takes of the offered."""
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError) as error:
        allowed = "a class or function that tells what it takes; this one does not"
        raise ConfigError(f"{key}._target_", settings.get("_target_"), allowed) from error
    named = {p.name: p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    for name, value in settings.items():
        if name == "_target_":
            continue
        if name in offered or not (name in named or takes_any):
            known = {*named, *others} - offered.keys()
            raise unknown_key(f"{key}.{name}", value, known)
    for name, parameter in named.items():
        needed = parameter.default is parameter.empty
        if needed and name not in settings and name not in offered:
            raise ConfigError(f"{key}.{name}", None, f"it needs a value, {key}.{name}=...")
    return {name: value for name, value in offered.items() if name in named or takes_any}
