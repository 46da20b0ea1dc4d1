"""One evaluation, from its configuration to its results file.

In: the composed configuration and an output folder. Out: the accuracy, for a sweeper. Everything
that can be wrong with the configuration is found before torch is imported.
"""

from __future__ import annotations

import logging
from contextlib import nullcontext
from pathlib import Path

from omegaconf import DictConfig

from tierexp.config.build import has_target
from tierexp.config.rank import NotRankZero, is_rank_zero
from tierexp.config.written import written_overrides
from tierexp.evaluation.folder import claimed
from tierexp.evaluation.model_free import run_model_free
from tierexp.evaluation.setup import read_setup
from tierexp.models.none import NoModel
from tierexp.runtime.lean_imports import lean_imports

_log = logging.getLogger(__name__)


def evaluate(
    config: DictConfig, output_dir: Path, own_process: bool = False
) -> float | NotRankZero | None:
    """Evaluate one configuration; print a summary and write the results file.

    Args:
        config: As composed from `conf/eval.yaml`.
        output_dir: Where the results file and the logger's files go.
        own_process: Whether nobody else's code runs in this process, which `lean_imports` asks for.

    Returns:
        The accuracy; None without a model, `NotRankZero` where another process speaks for the run.

    Raises:
        TierexpError: A setting or a data file that cannot work.
        SystemExit: With code 1 where every sample failed, or another process of the run has ended.
        KeyboardInterrupt: After Ctrl-C, once what had been measured is written.
    """
    if has_target(config, "model", NoModel):
        run_model_free(config, written_overrides(), output_dir)
        return None
    setup = read_setup(config)
    with claimed(output_dir, setup.resume, setup.overwrite):
        if is_rank_zero():
            for note in setup.notes:
                _log.warning("%s", note)
            # Before torch is imported, and weights are read, which may take minutes.
            _log.info(
                "%s: %d samples, tier %s, model %s",
                setup.dataset.name, len(setup.dataset), setup.policy.name,
                setup.source.name,
            )  # fmt: skip
        with lean_imports() if own_process else nullcontext():
            from tierexp.evaluation.engine import run_evaluation

        results = run_evaluation(setup, output_dir)
    if results is None:
        return NotRankZero()
    assert results.accuracy is not None
    return results.accuracy
