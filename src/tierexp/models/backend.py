"""What runs a vision encoder, and whether that can work on this machine, found out before torch is
imported.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

from tierexp.config.checks import choice
from tierexp.errors import ConfigError

Backend = Literal["eager", "compile", "openvino"]
"""`eager` runs torch's operations one after the other, `compile` what torch's compiler makes of
them, `openvino` what Intel's does, on CPUs and in float32."""


def check_backend(wanted: object) -> None:
    """A setting of `model.backend` that this machine can serve.

    Args:
        wanted: The setting.

    Raises:
        ConfigError: No backend, or what it needs is missing: of `compile` a C++ compiler (`CXX`
            names another than the usual one) and Python's headers, of `openvino` its package.
    """
    choice("model.backend", wanted, list(get_args(Backend)))
    if wanted == "compile":
        _check_compiler(wanted)
    if wanted == "openvino" and find_spec("openvino") is None:
        allowed = "eager or compile: OpenVINO is not installed (pip install 'tierexp[openvino]')"
        raise ConfigError("model.backend", wanted, allowed)


def _check_compiler(wanted: object) -> None:
    compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(compiler) is None:
        allowed = f"eager: there is no C++ compiler {compiler} here, which torch.compile runs"
        raise ConfigError("model.backend", wanted, allowed)
    headers = Path(sysconfig.get_path("include"))
    if not (headers / "Python.h").is_file():
        allowed = f"eager: {headers} has no Python.h, which torch.compile includes (python3-dev)"
        raise ConfigError("model.backend", wanted, allowed)
