"""Configurations composed from Python, as a command line would.

In: the name of a primary configuration and overrides. Out: the same `DictConfig` that Hydra hands
to a command. Imports no torch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from tierexp.config.arguments import prepare
from tierexp.config.build import build
from tierexp.config.location import config_dir
from tierexp.config.overrides import describe_composition_error
from tierexp.errors import ConfigError, TierexpError
from tierexp.imaging.resize import Resize
from tierexp.models.checkpoint_files import read_object
from tierexp.models.knobs.source import read_source
from tierexp.models.plans.registry import answering_types, family_of_type
from tierexp.models.protocol import ModelSource


@contextmanager
def composed(config_name: str, overrides: Sequence[str]) -> Iterator[DictConfig]:
    """The configuration that a command line of these overrides makes; Hydra's own part of it is
    known inside the block, as it is to a command.

    Args:
        config_name: Name of the primary configuration.
        overrides: As they would be typed.

    Raises:
        TierexpError: They cannot be composed.
    """
    prepared = prepare(overrides)
    state = HydraConfig.instance().cfg
    outer = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            config = compose(config_name, prepared, return_hydra_config=True)
            HydraConfig.instance().set_config(config)
            OmegaConf.set_struct(config, False)
            del config["hydra"]
            OmegaConf.set_struct(config, True)
        yield config
    except (HydraException, OmegaConfBaseException) as error:
        raise TierexpError(describe_composition_error(error, config_name, prepared)) from error
    finally:
        HydraConfig.instance().cfg = state
        GlobalHydra.instance().hydra = outer


def as_overrides(settings: Mapping[str, object]) -> list[str]:
    """Settings by their keys, `{"model.top_k": 1}`, as overrides."""
    return [f"{key}={_written(value)}" for key, value in settings.items()]


def _written(value: object) -> str:
    """A value in Hydra's grammar."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | Path):
        return json.dumps(str(value), ensure_ascii=False)
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_written, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{_written(of)}' for key, of in value.items())}}}"
    return str(value)


def model_source(model: str | Path, settings: Mapping[str, object]) -> ModelSource:
    """Where a model comes from, its weights not read yet.

    Args:
        model: An option of `conf/model`, such as `tiny` or `molmoe_1b`, or a checkpoint folder.
        settings: Keys of the group `model`, such as `top_k`.

    Raises:
        TierexpError: There is no such model, or a setting cannot work.
    """
    return model_and_resize(model, settings)[0]


def model_and_resize(
    model: str | Path, settings: Mapping[str, object]
) -> tuple[ModelSource, Resize]:
    """The same, and how its images meet their canvases where nothing else is said: `fill`, unless
    the model's option names another of `conf/resize`.

    Args:
        model: See `model_source`.
        settings: See there.

    Raises:
        TierexpError: See there.
    """
    options = sorted(path.stem for path in (config_dir() / "model").glob("*.yaml"))
    options.remove("none")  # it answers nothing
    chosen, beside = str(model), dict(settings)
    if chosen not in options:
        folder = Path(model).expanduser()
        if not (folder / "config.json").is_file():
            allowed = f"one of {', '.join(options)}, or a checkpoint's folder"
            raise ConfigError("model", str(model), allowed)
        chosen, beside = _option_for(folder), {"checkpoint": folder, **beside}
    overrides = as_overrides({f"model.{key}": value for key, value in beside.items()})
    with composed("eval", [f"model={chosen}", *overrides]) as config:
        return read_source(config), build(config, "resize")


def _option_for(folder: Path) -> str:
    """The option of `conf/model` that reads a checkpoint folder, by its `config.json`.

    Raises:
        ConfigError: Nobody here answers for a folder of its kind.
    """
    kind = read_object(folder / "config.json").get("model_type", "molmo")
    family = family_of_type(kind)
    if family is None or family.option is None:
        allowed = f"a checkpoint of model_type {', '.join(answering_types())}, not {kind}"
        raise ConfigError("model", str(folder), allowed)
    return family.option
