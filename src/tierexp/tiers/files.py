"""Tiers by name, without a command line: the numbers live in the YAML files of `conf/tier` only.

In: the name of a tier, or the path of a YAML file of the same form. Out: the tier.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tierexp.config.location import config_dir, own_config_dirs
from tierexp.errors import ConfigError
from tierexp.tiers.geometry import CropGeometry
from tierexp.tiers.policy import OperatingPoint
from tierexp.tiers.rule import CropRule

if TYPE_CHECKING:
    from omegaconf import DictConfig


def shipped_tiers() -> dict[str, Path]:
    """The files of `conf/tier` by the names of their tiers and baselines."""
    return {path.stem: path for path in sorted((config_dir() / "tier").glob("*.yaml"))}


def load_tier(
    name_or_path: str | Path, geometry: CropGeometry = CropGeometry(), *, key: str = "tier"
) -> CropRule:
    """A tier or baseline of `conf/tier`, or of a YAML file of one's own.

    Args:
        name_or_path: `low`, `medium`, `fixed_720`, `native` ..., one of the folder that the command
            line names by `--config-dir`, or a path that ends in `.yaml`.
        geometry: What the crops of a fixed count cost.
        key: Where the name stands, for the complaint about one that there is not.

    Raises:
        ConfigError: There is no such tier or file, or its numbers cannot work.
    """
    from omegaconf import OmegaConf

    from tierexp.config.build import build

    known = shipped_tiers() | {
        file.stem: file for folder in own_config_dirs() for file in (folder / "tier").glob("*.yaml")
    }
    path = known.get(str(name_or_path), Path(name_or_path))
    if path.suffix != ".yaml" or not path.is_file():
        allowed = f"one of {', '.join(known)}, or the path of a .yaml file"
        raise ConfigError(key, str(name_or_path), allowed)
    tier = OmegaConf.create({"tier": _composed(path)})
    rule: CropRule = build(tier, "tier", kind=CropRule, geometry=geometry)
    return rule


def _composed(path: Path) -> DictConfig:
    """A file of `conf/tier` on top of those beside it that its `defaults` name.

    Raises:
        ConfigError: It describes no tier.
    """
    from omegaconf import DictConfig, OmegaConf

    tier = OmegaConf.load(path)
    bases = tier.pop("defaults", []) if isinstance(tier, DictConfig) else []
    for base in bases:
        if base != "_self_":
            tier = OmegaConf.merge(_composed(path.parent / f"{base}.yaml"), tier)
    if not isinstance(tier, DictConfig) or "_target_" not in tier:
        raise ConfigError("tier", str(path), "the file needs a _target_ and the tier's fields")
    return tier


def read_points(values: object, geometry: CropGeometry) -> tuple[OperatingPoint, ...]:
    """The operating points that a list in a configuration names.

    Args:
        values: Names or files of tiers, or mappings of a `tier` and of keys of the group `model`
            that belong to knobs, such as `{tier: low, top_k: 1}`.
        geometry: Geometry of the model's crops.

    Raises:
        ConfigError: No such list, or a point that is there twice.
    """
    allowed = "a list of tiers, such as [low,high], or of {tier: low, top_k: 1}"
    if isinstance(values, str) or not isinstance(values, Sequence) or not values:
        raise ConfigError("policy.points", values, allowed)
    points: list[OperatingPoint] = []
    for value in values:
        settings = dict(value) if isinstance(value, Mapping) else {"tier": value}
        name = settings.pop("tier", None)
        if not isinstance(name, str):
            raise ConfigError("policy.points", value, allowed)
        tier = load_tier(name, geometry, key="policy.points")
        label = " ".join([tier.name, *(f"{key}={settings[key]}" for key in settings)])
        points.append(OperatingPoint(label, tier, settings))
    names = [point.name for point in points]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError("policy.points", twice, "every point once")
    return tuple(points)
