"""No secret reaches the `.hydra` folder of a run, which Hydra writes before a command begins.

In: the composed configuration, as Hydra hands it to callbacks. Out: nothing, or one line and exit
code 2. Secrets that only interpolations bring are not in it yet: `tierexp.config.build.resolved`
refuses those.
"""

from __future__ import annotations

from typing import Any, cast

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from typing_extensions import override

from tierexp.config.credentials import refuse_credentials
from tierexp.config.refusal import refuse
from tierexp.errors import ConfigError


class RefuseCredentials(Callback):
    """The callback that looks through a configuration first of all; `conf/hydra/callbacks`."""

    @override
    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Look through the configuration of a single run."""
        _look_through(config)

    @override
    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Look through what all runs share; the command line of each was looked at before."""
        _look_through(config)


def _look_through(config: DictConfig) -> None:
    try:
        refuse_credentials(cast(dict[str, Any], OmegaConf.to_container(config, resolve=False)))
    except ConfigError as error:
        # Hydra turns an exception of a callback into a warning, and goes on.
        refuse(error)
