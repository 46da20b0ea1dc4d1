"""Tiers by name, without a command line: the numbers live in the YAML files of `conf/tier` only.

In: the name of a tier, or the path of a YAML file of the same form. Out: the tier.
"""

from __future__ import annotations

from pathlib import Path

from tierexp.config.location import config_dir
from tierexp.errors import ConfigError
from tierexp.tiers.rule import CropRule


def shipped_tiers() -> dict[str, Path]:
    """The files of `conf/tier` by the names of their tiers and baselines."""
    return {path.stem: path for path in sorted((config_dir() / "tier").glob("*.yaml"))}


def load_tier(name_or_path: str | Path) -> CropRule:
    """A tier or baseline of `conf/tier`, or of a YAML file of one's own.

    Args:
        name_or_path: `low`, `medium`, `fixed_720`, `native` ..., or a path that ends in `.yaml`.

    Raises:
        ConfigError: There is no such tier or file, or its numbers cannot work.
    """
    from omegaconf import DictConfig, OmegaConf

    from tierexp.config.build import build

    shipped = shipped_tiers()
    path = shipped.get(str(name_or_path), Path(name_or_path))
    if path.suffix != ".yaml" or not path.is_file():
        allowed = f"one of {', '.join(shipped)}, or the path of a .yaml file"
        raise ConfigError("tier", str(name_or_path), allowed)
    tier = OmegaConf.load(path)
    if not isinstance(tier, DictConfig) or "_target_" not in tier:
        raise ConfigError("tier", str(path), "the file needs a _target_ and the tier's fields")
    rule: CropRule = build(OmegaConf.create({"tier": tier}), "tier")
    return rule
