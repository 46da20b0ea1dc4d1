"""The packages of the extra `policies`, missed in one line before anything is loaded."""

from __future__ import annotations

from importlib.util import find_spec

from tierexp.errors import ConfigError

FITTING = {"sklearn": "scikit-learn", "scipy": "scipy"}
"""Modules that fitting takes, and the packages that bring them."""
DECIDING = {"scipy": "scipy"}
"""What a router takes in an evaluation: pictures are searched for regions."""


def require(packages: dict[str, str], policy: str) -> None:
    """Refuse a policy whose packages are not installed.

    Args:
        packages: Modules, and the packages that bring them.
        policy: Its name.

    Raises:
        ConfigError: One is missing.
    """
    for module, package in packages.items():
        if find_spec(module) is None:
            allowed = f"with {package}: pip install 'tierexp[policies]'"
            raise ConfigError("policy", policy, allowed)
