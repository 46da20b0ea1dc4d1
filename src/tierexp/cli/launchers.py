"""What Hydra's launcher plugins, chosen by `conf/hydra/launcher`, say that a user should not see.

In: the exception that ended a multirun before its first run. Out: one line, where the user can put
it right. Imports none of the plugins.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from subprocess import CalledProcessError
from traceback import walk_tb

from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from omegaconf.errors import OmegaConfBaseException

EXTRAS = {
    "hydra_joblib_launcher": "joblib",
    "joblib": "joblib",
    "ray": "ray",
    "hydra_submitit_launcher": "slurm",
    "submitit": "slurm",
}
"""The extra of this package that installs a module."""
_UNKNOWN_PLUGIN = re.compile(r"Unknown plugin class : 'hydra_plugins\.(\w+)\.")


def accept_plugin_defaults() -> None:
    """Silence Hydra's advice against configs named like a plugin's own.

    The names are those that users know, so Hydra 1.3 merges ours into the plugin's. Ours are whole:
    without that merge they are the same.
    """
    warnings.filterwarnings("ignore", r"\s*'hydra/launcher/\w+' is validated against ConfigStore")


def is_launchers_defect(error: Exception, arguments: Sequence[str]) -> bool:
    """Whether an exception before the first run is no mistake of the user's: a launcher or sweeper
    raised it that has been told nothing on the command line. What it composes has been composed
    before.

    Args:
        error: Whatever Hydra or the launcher raised.
        arguments: Arguments of the command line.
    """
    if isinstance(error, HydraException | OmegaConfBaseException):
        return False
    if any(argument.lstrip("+~").startswith("hydra.") for argument in arguments):
        return False
    frames = (frame for frame, _ in walk_tb(error.__traceback__))
    return any(isinstance(frame.f_locals.get("self"), Launcher | Sweeper) for frame in frames)


def describe_launcher_error(error: Exception) -> str | None:
    """One line about a launcher that is not installed, or whose cluster is missing or refuses, else
    None.

    Args:
        error: Whatever Hydra or the launcher raised.
    """
    match = _UNKNOWN_PLUGIN.match(str(error))
    missing = match[1] if match else error.name if isinstance(error, ImportError) else None
    if missing in EXTRAS:
        return f"this launcher needs {missing}: pip install 'tierexp[{EXTRAS[missing]}]'"
    if isinstance(error, RuntimeError) and 'Could not detect "srun"' in str(error):
        return (
            "hydra/launcher=submitit_slurm needs a machine that can submit to SLURM, and there is "
            "no srun here; submitit_local runs the same on this machine"
        )
    refused = error.__cause__
    if isinstance(refused, CalledProcessError) and refused.cmd[0] == "sbatch":
        reason = refused.stderr or f"it gave no reason, only exit code {refused.returncode}"
        return f"SLURM did not take the runs: {reason}"
    return None
