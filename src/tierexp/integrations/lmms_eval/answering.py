"""Questions of lmms-eval to answers, through this project's pipeline.

In: a setup and questions. Out: answers in the order of the questions, and what was measured on the
way. Everything that can be wrong with a question is found before the weights are read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from rich.console import Console
from rich.progress import track

from tierexp.data.batch import PreparedSample
from tierexp.data.datamodule import TierDataModule
from tierexp.errors import DataError
from tierexp.integrations.lmms_eval.arguments import AnsweringSetup
from tierexp.integrations.lmms_eval.questions import Documents, LmmsEvalQuestions, Question
from tierexp.models.confidence import ConfidenceMeter
from tierexp.models.protocol import VisionLanguageModel


@dataclass(frozen=True)
class Answered:
    """A question with its answer.

    Args:
        question: Question of lmms-eval.
        text: The answer.
        prepared: What its image became.
    """

    question: Question
    text: str
    prepared: PreparedSample


def answer_questions(
    setup: AnsweringSetup,
    questions: Sequence[Question],
    documents: Documents,
    device: torch.device,
    load: Callable[[], VisionLanguageModel],
) -> list[Answered]:
    """Greedy answers.

    Args:
        setup: What they are given by.
        questions: To answer, in any order; tasks may be mixed.
        documents: Documents of lmms-eval.
        device: Device of the model.
        load: Gives the model; called once all questions have turned out well.

    Returns:
        The questions with their answers, in their order.

    Raises:
        DataError: A question has no image, several, a video, or one that cannot be decoded; or the
            model does not answer it.
    """
    by_limit: dict[int, list[int]] = {}
    for index, question in enumerate(questions):
        limit = question.max_new_tokens or setup.source.max_new_tokens
        by_limit.setdefault(limit, []).append(index)
    plans = [
        (limit, members, _data(setup, [questions[index] for index in members], documents))
        for limit, members in by_limit.items()
    ]
    model, tokenizer = load(), setup.source.tokenizer()
    answered: dict[int, Answered] = {}
    # On stderr: what lmms-eval prints is a table of scores.
    console = Console(stderr=True)
    for limit, members, data in plans:
        for batch in track(
            data.test_dataloader(), "answers", len(data.batches), console=console,
            disable=not console.is_terminal,
        ):  # fmt: skip
            whole = data.on_before_batch_transfer(batch, 0)  # refuses an image that is broken
            assert whole.inputs is not None
            meter = ConfidenceMeter()
            tokens = model.generate(whole.inputs.to(device), limit, observer=meter)
            known = meter.facts(len(tokens))
            for prepared, row, facts in zip(whole.prepared, tokens.tolist(), known, strict=True):
                index = members[prepared.index]
                if facts.failure is not None:  # no answer, which lmms-eval would score
                    raise DataError(f"{questions[index].where}: {facts.failure}")
                text = questions[index].answer(tokenizer.decode(row))
                answered[index] = Answered(questions[index], text, prepared)
    return [answered[index] for index in range(len(questions))]


def _data(
    setup: AnsweringSetup, questions: Sequence[Question], documents: Documents
) -> TierDataModule:
    return TierDataModule(
        LmmsEvalQuestions(questions, documents), setup.source, setup.preprocessing,
        setup.batch_size, setup.num_workers, on_error="raise",
    )  # fmt: skip
