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
