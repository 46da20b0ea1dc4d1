"""A Hydra launcher that makes each run of a multirun a task of a Ray cluster.

In: the overrides of the runs. Out: what they returned, in their order. Knows nothing about
tierexp. hydra-ray-launcher does the same but is not used: it brings boto3 and Ray's dashboard, and
is tied to cloudpickle 2. Hydra finds its plugins in this folder, which has to stay without an
`__init__`, and imports every module in it: Ray itself is imported when it launches.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, configure_log, filter_overrides, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

_log = logging.getLogger(__name__)

AGENT_TIMEOUT_MS = 120_000
"""How long a cluster on this machine waits for its own helpers to start; with Ray's default, much
shorter, it gives up where a few cores are busy.
"""


class RayLauncher(Launcher):
    """Runs are tasks; a cluster of this machine ends with the multirun.

    Args:
        ray: `init` holds the arguments of `ray.init`, `remote` those of `ray.remote`; the keys of
            hydra-ray-launcher.
    """

    def __init__(self, ray: DictConfig) -> None:
        settings: Any = OmegaConf.to_container(ray, resolve=True)
        self._init: dict[str, Any] = settings["init"]
        self._remote: dict[str, Any] = settings["remote"]

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Take down what to run, as Hydra gives it."""
        self._hydra_context = hydra_context
        self._task_function = task_function
        self._config = config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run one task per list of overrides, all of them.

        Args:
            job_overrides: Of each run.
            initial_job_idx: The number of the first.

        Raises:
            ValueError: Resources that Ray refuses.
            ray.exceptions.RayError: A worker died.
        """
        import ray

        setup_globals()
        configure_log(self._config.hydra.hydra_logging, self._config.hydra.verbose)
        Path(str(self._config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        task = ray.remote(**self._remote)(_run)
        started = not ray.is_initialized()
        if started:
            os.environ.setdefault("RAY_agent_register_timeout_ms", str(AGENT_TIMEOUT_MS))
            local = {} if self._init.get("address") else {"include_dashboard": False}
            ray.init(**{**local, **self._init})
        try:
            results = []
            for number, overrides in enumerate(job_overrides, initial_job_idx):
                _log.info("\t#%d : %s", number, " ".join(filter_overrides(overrides)))
                results.append(
                    task.remote(
                        self._hydra_context, self._task_function, self._config, list(overrides),
                        number, Singleton.get_state(),
                    )
                )  # fmt: skip
            returns: list[JobReturn] = ray.get(results)
        finally:
            if started:
                ray.shutdown()
        return returns


def _run(
    hydra_context: HydraContext,
    task_function: TaskFunction,
    config: DictConfig,
    overrides: list[str],
    number: int,
    singletons: Any,
) -> JobReturn:
    """One run, in a worker of the cluster."""
    setup_globals()
    Singleton.set_state(singletons)
    run_config = hydra_context.config_loader.load_sweep_config(config, overrides)
    with open_dict(run_config):
        run_config.hydra.job.id = f"{run_config.hydra.job.name}_{number}"
        run_config.hydra.job.num = number
    HydraConfig.instance().set_config(run_config)
    return run_job(
        hydra_context=hydra_context,
        task_function=task_function,
        config=run_config,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )
