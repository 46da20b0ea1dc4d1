"""One evaluation, from its configuration to its results file.

In: the composed configuration and an output folder. Out: the accuracy, for a sweeper. Everything
that can be wrong with the configuration is found before torch is imported.
"""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from tierexp.cli.multirun import Helped
from tierexp.cli.overrides import written_overrides
from tierexp.config.build import describes
from tierexp.evaluation.model_free import run_model_free
from tierexp.evaluation.setup import read_setup
from tierexp.models.none import NoModel


def evaluate(config: DictConfig, output_dir: Path) -> float | Helped | None:
    """Evaluate one configuration; print a summary and write the results file.

    Args:
        config: As composed from `conf/eval.yaml`.
        output_dir: Where the results file and the logger's files go.

    Returns:
        The accuracy; None without a model, `Helped` where another process speaks for the run.

    Raises:
        TierexpError: A setting or a data file that cannot work.
        SystemExit: With code 1 where every sample failed, or another process of the run has ended.
        KeyboardInterrupt: After Ctrl-C, once what had been measured is written.
    """
    if describes(config, "model", NoModel):
        run_model_free(config, written_overrides(), output_dir)
        return None
    setup = read_setup(config)

    from tierexp.evaluation.engine import run_evaluation

    results = run_evaluation(setup, config, output_dir)
    if results is None:
        return Helped()
    assert results.accuracy is not None
    return results.accuracy
