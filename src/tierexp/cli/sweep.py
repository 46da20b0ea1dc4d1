"""A sweep before its first run: every run is composed, has a folder of its own, and can work.

In: the configuration of a multirun, as Hydra hands it to callbacks. Out: nothing, or one line and
exit code 2. Sweepers that decide on runs as they go, such as Optuna's, are left alone.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from tierexp.errors import ConfigError

Check = Callable[[DictConfig, Path], None]
"""Refuses a run that cannot work, by its configuration and its folder, before any begins."""

MAX_RUNS = 10_000
"""Most runs of one multirun: Hydra makes a list of all of them before the first one begins."""

_GRID = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"
_EXCLUDED = "hydra.job.config.override_dirname.exclude_keys"


def tell_what_varies(config: DictConfig) -> None:
    """Have Hydra leave out of the folders' names what all runs have in common.

    Args:
        config: Config of the multirun, with `hydra`; the overrides of its runs get one more.
    """
    common = [o.key_or_group for o in _overrides(config) if not o.is_sweep_override()]
    quoted = ",".join(f'"{key}"' for key in dict.fromkeys(common))
    with read_write(config), open_dict(config):
        config.hydra.overrides.hydra.append(f"{_EXCLUDED}=[{quoted}]")


def check_runs(config: DictConfig, check: Check | None) -> None:
    """Compose the runs of a multirun, and look whether they can work.

    Args:
        config: Config of the multirun, with `hydra`.
        check: The command's own.

    Raises:
        ConfigError: There is no run, there are more than `MAX_RUNS`, or two share a folder.
        TierexpError: What the check complains about.
    """
    if config.hydra.sweeper.get("_target_") != _GRID:
        return
    before, taken = HydraConfig.instance().cfg, set[Path]()
    try:
        _refuse_no_run(_overrides(config))
        for number, overrides in enumerate(_grid(config)):
            run, folder = _composed(config, overrides, number)
            if folder in taken:
                allowed = f"one that gives each run its own folder: several would share {folder}"
                pattern = OmegaConf.to_container(config.hydra.sweep, resolve=False)
                assert isinstance(pattern, dict)
                raise ConfigError("hydra.sweep.subdir", pattern["subdir"], allowed)
            taken.add(folder)
            if check is not None:
                check(run, folder)
    except (HydraException, OmegaConfBaseException):
        return  # Hydra says it itself, a moment later
    finally:
        HydraConfig.instance().cfg = before


def _refuse_no_run(overrides: Sequence[Override]) -> None:
    """Refuse a sweep with nothing to run, or with so much that it cannot be meant."""
    runs = 1
    for override in overrides:
        if not override.is_sweep_override():
            continue
        # Ranges are counted, not written out.
        values = sum(1 for _ in islice(override.sweep_iterator(), MAX_RUNS + 1))
        runs *= values
        if not 0 < runs <= MAX_RUNS:
            allowed = f"1 to {MAX_RUNS:,} runs in a multirun"
            raise ConfigError(override.key_or_group, str(override.get_value_string()), allowed)


def _overrides(config: DictConfig) -> list[Override]:
    """Those of the sweeper's parameters, then those of the command line, which count more."""
    params = config.hydra.sweeper.get("params") or {}
    written = [f"{key}={value}" for key, value in params.items()] + list(
        config.hydra.overrides.task
    )
    loader = GlobalHydra.instance().config_loader()
    overrides = OverridesParser.create(config_loader=loader).parse_overrides(written)
    return list({override.get_key_element(): override for override in overrides}.values())


def _grid(config: DictConfig) -> list[list[str]]:
    """The overrides of each run, as Hydra's own sweeper orders them."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    batches = BasicSweeper.split_arguments(_overrides(config), None)
    return [run for batch in batches for run in batch]


def _composed(config: DictConfig, overrides: list[str], number: int) -> tuple[DictConfig, Path]:
    """The configuration of a run, without `hydra`, and its folder."""
    run = GlobalHydra.instance().config_loader().load_sweep_config(config, overrides)
    with read_write(run), open_dict(run):
        run.hydra.job.id = f"{run.hydra.job.name}_{number}"
        run.hydra.job.num = number
    HydraConfig.instance().set_config(run)
    folder = Path(str(run.hydra.sweep.dir)) / str(run.hydra.sweep.subdir)
    part = copy.deepcopy(run)
    with read_write(part), open_dict(part):
        del part["hydra"]
    return part, folder.absolute()
