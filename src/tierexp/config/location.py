"""Where the configuration is: in the package of an installed wheel, else in the checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def checkout() -> Path | None:
    """The repository this package runs from, None where it was installed from a wheel."""
    root = _PACKAGE.parents[1]
    return root if root / "src" / "tierexp" == _PACKAGE and (root / "conf").is_dir() else None


def config_dir() -> Path:
    """The folder of configuration groups."""
    root = checkout()
    return _PACKAGE / "conf" if root is None else root / "conf"


def own_config_dirs() -> list[Path]:
    """The folder that the command line names by `--config-dir`, if it does."""
    from hydra.core.hydra_config import HydraConfig

    if not HydraConfig.initialized():
        return []
    return [
        Path(source.path)
        for source in HydraConfig.get().runtime.config_sources
        if source.provider == "command-line" and source.schema == "file"
    ]
