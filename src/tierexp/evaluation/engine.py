"""Running a checked evaluation with Lightning.

In: an `EvaluationSetup`. Out: its results, written, printed and logged by the first of the
processes that share the run; the others measure their part. Imports torch and Lightning, which is
why nothing of this is in `run`.
"""

from __future__ import annotations

from pathlib import Path

from lightning import Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console

from tierexp.errors import ConfigError
from tierexp.evaluation.lead import lead
from tierexp.evaluation.measure import Run, follow
from tierexp.evaluation.progress import progress_callback
from tierexp.evaluation.running_metrics import RunningMetrics
from tierexp.evaluation.setup import EvaluationSetup
from tierexp.results.schema import EvaluationResults
from tierexp.runtime.processes.local import Program
from tierexp.runtime.processes.run import processes_of
from tierexp.runtime.trainer import EndedBySigterm, build_trainer, quiet_lightning

HELPER = "tierexp.evaluation.helper"
"""The program of the processes that a run starts beside the one that the user has started."""


def run_evaluation(setup: EvaluationSetup, output_dir: Path) -> EvaluationResults | None:
    """Evaluate, write the results file, print the summary.

    Args:
        setup: What to evaluate.
        output_dir: Where the results file and the logger's files go.

    Returns:
        The results; None in a process that is not the first of its run.

    Raises:
        ConfigError: A trainer or a logger that cannot work.
        DataError: An image cannot be read and `data.on_error` is `raise`, or what another process
            has measured is not there.
        MachineError: A full disk, too little memory, or worker processes that are killed again and
            again. What was measured is in the journal.
        SystemExit: With code 1 where every sample failed, or another process of the run has ended.
        KeyboardInterrupt: After Ctrl-C, once what had been measured is written.
    """
    console = Console()
    quiet_lightning()
    trainer = _trainer(setup, output_dir, console)
    if setup.latency is not None and trainer.world_size != 1:
        allowed = "off with several processes, which slow one another: time a run on one device"
        raise ConfigError("latency", "on", allowed)
    told = {"settings": setup.settings, "output_dir": str(output_dir.absolute())}
    with processes_of(trainer, Program(HELPER, told)) as processes:
        run = Run(setup, output_dir, trainer, processes)
        if processes.first:
            return lead(run, console)
        follow(run)
        return None


def _trainer(setup: EvaluationSetup, output_dir: Path, console: Console) -> Trainer:
    progress = progress_callback(console, len(setup.dataset))
    return build_trainer(
        setup.trainer,
        several=True,
        use_distributed_sampler=False,  # it would repeat samples
        logger=False,
        callbacks=[progress, RunningMetrics(), EndedBySigterm()],
        default_root_dir=output_dir,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=isinstance(progress, ProgressBar),
    )
