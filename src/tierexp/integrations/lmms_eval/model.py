"""The model `tierexp` of lmms-eval.

In: lmms-eval's requests. Out: answers, and beside them a file and a table of what the tier did.
What cannot work ends the process with one line and exit code 2: lmms-eval makes a traceback of any
other exception, and exit code 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any, NoReturn

from lmms_eval.api.model import lmms
from rich.console import Console
from typing_extensions import override

from tierexp.config.build import blueprint, resolved
from tierexp.config.refusal import refuse, refusing
from tierexp.integrations.lmms_eval.answering import Answered, answer_questions
from tierexp.integrations.lmms_eval.arguments import AnsweringSetup, read_arguments
from tierexp.integrations.lmms_eval.questions import Request, read_request
from tierexp.integrations.lmms_eval.results import (
    FILE_NAME,
    KIND,
    SCHEMA_VERSION,
    LmmsEvalRun,
    answer_record,
    claimed,
    metrics_table,
    task_metrics,
)
from tierexp.models.protocol import VisionLanguageModel
from tierexp.results.files import write_results
from tierexp.results.provenance import gather_provenance
from tierexp.results.schema import TierRange, whole
from tierexp.runtime.trainer import build_trainer, quiet_lightning


class TierexpModel(lmms):  # type: ignore[misc]  # lmms-eval has no types
    """Greedy answers to questions about one image each.

    Args:
        setup: What they are given by.

    Raises:
        ConfigError: The trainer's device is not there, or there is more than one; or the output
            folder is another run's.
    """

    is_simple = True
    # `clean` deletes the attribute of the instance, and the memory is free.
    _model: VisionLanguageModel | None = None

    def __init__(self, setup: AnsweringSetup) -> None:
        super().__init__()
        quiet_lightning()
        # Only the choice of the device is the trainer's.
        trainer = build_trainer(blueprint(setup.config, "trainer"), logger=False)
        self._setup = setup
        self._device = trainer.strategy.root_device
        self._claim = ExitStack()
        self._claim.enter_context(claimed(setup.output_dir, setup.overwrite))
        self._answered: list[Answered] = []

    @classmethod
    @override
    def create_from_arg_string(
        cls, arg_string: str, additional_config: Mapping[str, Any] | None = None
    ) -> TierexpModel:
        """The model that `--model_args` describe.

        Args:
            arg_string: The text of `--model_args`.
            additional_config: What lmms-eval says beside them.

        Raises:
            SystemExit: With code 2 after one line on stderr for a user's mistake.
        """
        with refusing():
            return cls(read_arguments(arg_string, additional_config or {}))

    @override
    def generate_until(self, requests: Sequence[Request]) -> list[str]:
        """Answers in the order of the requests; the metrics of all so far are written and printed.

        Raises:
            SystemExit: With code 2 after one line on stderr for a request that cannot be answered.
        """
        setup = self._setup
        with refusing():
            put = setup.source.prompt_format
            questions = [read_request(request, setup.prompt, put) for request in requests]
            answered = answer_questions(
                setup, questions, self.task_dict, self._device, self._loaded
            )
            self._answered += answered
            if answered:
                self._report()
        return [answer.text for answer in answered]

    @override
    def loglikelihood(self, requests: Sequence[Any]) -> NoReturn:
        """Not to be had.

        Raises:
            SystemExit: With code 2 after one line on stderr.
        """
        refuse(f"{_task(requests)} asks for likelihoods of given answers; tierexp generates only")

    @override
    def generate_until_multi_round(self, requests: Sequence[Any]) -> NoReturn:
        """Not to be had.

        Raises:
            SystemExit: With code 2 after one line on stderr.
        """
        refuse(f"{_task(requests)} asks in several rounds; tierexp answers one question at a time")

    @override
    def clean(self) -> None:
        """Give memory and folder back: lmms-eval has all answers."""
        super().clean()
        self._claim.close()

    def _loaded(self) -> VisionLanguageModel:
        if self._model is None:
            self._model = self._setup.source.load(self._device)
        return self._model

    def _report(self) -> None:
        setup, knobs = self._setup, self._setup.source.knob_values
        tier = setup.preprocessing.tier
        run = LmmsEvalRun(
            kind=KIND,
            schema_version=SCHEMA_VERSION,
            model=setup.source.name,
            tier=tier.name,
            tier_range=TierRange(tier.min_crops, tier.max_crops),
            resize_to_fill=setup.preprocessing.fills,
            top_k=whole(knobs, "top_k"),
            num_active_blocks=whole(knobs, "num_active_blocks"),
            knobs=dict(knobs),
            tasks=task_metrics(self._answered),
            per_sample_results=tuple(map(answer_record, self._answered)),
            provenance=gather_provenance(resolved(setup.config), None, str(self._device)),
        )
        file = setup.output_dir / FILE_NAME
        write_results(run, file)
        console = Console()
        console.print(metrics_table(run))
        # No wrapping: a path is to be copied.
        console.print(f"figures  {file}", soft_wrap=True, highlight=False)


def _task(requests: Sequence[Any]) -> str:
    return f"task {requests[0].task_name}" if requests else "a task"
