"""Whether `torch.compile` can work on this machine, found out before torch is imported."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path

from tierexp.config.checks import flag
from tierexp.errors import ConfigError


def check_compile(wanted: object) -> None:
    """A setting of `model.compile` that this machine can serve.

    Args:
        wanted: The setting.

    Raises:
        ConfigError: No bool, or what it is compiled with is missing: a C++ compiler (`CXX` names
            another than the usual one) and Python's headers.
    """
    if not flag("model.compile", wanted):
        return
    compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(compiler) is None:
        allowed = f"false: there is no C++ compiler {compiler} here, which torch.compile runs"
        raise ConfigError("model.compile", wanted, allowed)
    headers = Path(sysconfig.get_path("include"))
    if not (headers / "Python.h").is_file():
        allowed = f"false: {headers} has no Python.h, which torch.compile includes (python3-dev)"
        raise ConfigError("model.compile", wanted, allowed)
