"""The runs of a sweep, before the first of them: what would be refused later is refused now.

In: the configuration of one run after the other, and its folder. Out: nothing, or one line. Imports
no torch.
"""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from tierexp.config.build import has_target
from tierexp.config.written import written_overrides
from tierexp.data.sample import QuestionDataset
from tierexp.evaluation.folder import refuse_results
from tierexp.evaluation.model_free import read_model_free_parts
from tierexp.evaluation.setup import read_claim, read_setup
from tierexp.models.none import NoModel


class EvaluationCheck:
    """Looks at one run after the other of a sweep; data that several have are read once."""

    def __init__(self) -> None:
        self._datasets: dict[str, QuestionDataset] = {}

    def __call__(self, config: DictConfig, folder: Path) -> None:
        """Refuse a run that cannot work.

        Args:
            config: As composed from `conf/eval.yaml`.
            folder: Folder of the run.

        Raises:
            TierexpError: A setting or a data file that cannot work, or results that are not to be
                touched. Sizes without a model are left to the run: there may be millions.
        """
        if has_target(config, "model", NoModel):
            read_model_free_parts(config, written_overrides())
        else:
            read_setup(config, datasets=self._datasets)
        refuse_results(folder, *read_claim(config))
