"""lmms-eval's requests as questions of this project.

In: requests as lmms-eval's `generate_until` gets them, and its documents. Out: a data set of
questions with an image each, and how each answer is to end; or one line about a request that cannot
be answered. Imports neither torch nor lmms-eval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tierexp.data.hub.prompt import Prompt
from tierexp.data.sample import Sample
from tierexp.errors import DataError, ImageDecodeError
from tierexp.imaging.decode import pixels_of
from tierexp.models.prompt_format import PromptFormat, plain_prompt

Documents = Mapping[str, Mapping[str, Any]]
"""Documents of every task, by split: sequences of documents."""

_GREEDY = "--gen_kwargs do_sample=false,temperature=0,num_beams=1 asks for what tierexp does"


class Request(Protocol):
    """An `lmms_eval.api.instance.Instance` of the type `generate_until`."""

    @property
    def args(self) -> tuple[Any, ...]:
        """The question, generation settings, what shows a document, its number, task, split."""


@dataclass(frozen=True)
class Question:
    """One request.

    Args:
        task: That asks.
        split: Split of the task's data.
        document: The number of the document in the split.
        text: As put to the model.
        stops: Texts that end an answer, and are no part of it.
        max_new_tokens: The longest answer; None leaves it to the model's setting.
        show: From a document to its images.
    """

    task: str
    split: str
    document: int
    text: str
    stops: tuple[str, ...]
    max_new_tokens: int | None
    show: Any

    @property
    def where(self) -> str:
        """The request in a few words, for messages."""
        return f"task {self.task}, document {self.document}"

    def answer(self, generated: str) -> str:
        """What was generated, up to the first text that ends it."""
        ends = [generated.find(stop) for stop in self.stops if stop in generated]
        return generated[: min(ends, default=None)].strip()


def read_request(
    request: Request, prompt: Prompt, prompt_format: PromptFormat = plain_prompt
) -> Question:
    """Check a request, its image aside.

    Args:
        request: Request of lmms-eval.
        prompt: What its question is.
        prompt_format: How the model is asked.

    Raises:
        DataError: It asks for something else than one greedy answer to one text.
    """
    text, settings, show, document, task, split = request.args
    where = f"task {task}, document {document}"
    if not isinstance(text, str):
        raise DataError(f"{where}: a question is a text here, not {type(text).__name__}")
    _refuse_sampling(settings, where)
    stops = settings.get("until") or ()
    limit = settings.get("max_new_tokens")
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise DataError(f"{where}: max_new_tokens={limit!r} is not possible: a whole number >= 1")
    return Question(
        task=task,
        split=split,
        document=document,
        text=prompt_format(prompt.parts(text)),
        # An empty text is in every answer, and would end it before it begins.
        stops=tuple(stop for stop in ([stops] if isinstance(stops, str) else stops) if stop),
        max_new_tokens=limit,
        show=show,
    )


class LmmsEvalQuestions:
    """Questions as a `QuestionDataset`, which has no answers: lmms-eval scores.

    An image is decoded whenever it is asked for, by lmms-eval's own data set; the last one is kept.

    Args:
        questions: In their order.
        documents: Documents of lmms-eval.
    """

    name = "lmms_eval"
    score = "exact_match"

    def __init__(self, questions: Sequence[Question], documents: Documents) -> None:
        self._questions = questions
        self._documents = documents
        self._last: tuple[int, NDArray[np.uint8]] | None = None

    def __len__(self) -> int:
        return len(self._questions)

    def __getitem__(self, index: int) -> Sample:
        question = self._questions[index]
        return Sample(f"{question.task}/{question.document}", question.text, (), question.task)

    def image_key(self, index: int) -> str:
        """The document's: what lmms-eval's documents share is not known."""
        question = self._questions[index]
        return f"{question.task}/{question.split}/{question.document}"

    def image_size(self, index: int) -> tuple[int, int]:
        """(height, width) in pixels of a question's image, as it is displayed.

        Raises:
            DataError: It has no image, several, or a video.
            ImageDecodeError: It cannot be decoded.
        """
        height, width, _ = self.image(index).shape
        return height, width

    def image(self, index: int) -> NDArray[np.uint8]:
        """A question's image, (height, width, 3) RGB.

        Raises:
            DataError: It has no image, several, or a video.
            ImageDecodeError: It cannot be decoded.
        """
        if self._last is None or self._last[0] != index:
            self._last = index, pixels_of(self._shown(self._questions[index]))
        return self._last[1]

    def _shown(self, question: Question) -> Image.Image:
        """The one image of a question."""
        document = self._documents[question.task][question.split][question.document]
        try:
            shown = question.show(document)
        # A task's code and `datasets` raise whatever Pillow does, and more.
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ImageDecodeError(reason) from error
        images = list(shown) if isinstance(shown, list | tuple) else [shown]
        images = [image for image in images if image is not None]
        if len(images) != 1:
            found = f"{len(images)} images" if images else "no image"
            raise DataError(f"{question.where} has {found}: tierexp answers questions about one")
        (image,) = images
        if not isinstance(image, Image.Image):
            found = type(image).__name__
            raise DataError(
                f"{question.where} shows a {found}, such as a video or a path: tierexp answers "
                "questions about one opened image"
            )
        return image


def _refuse_sampling(settings: Mapping[str, Any], where: str) -> None:
    temperature = settings.get("temperature")
    samples = settings.get("do_sample")
    if samples is None:
        samples = bool(temperature)
    if samples and temperature != 0:
        raise DataError(f"{where} asks for answers drawn at random: {_GREEDY}")
    if settings.get("num_beams") not in (None, 1):
        raise DataError(f"{where} asks for {settings['num_beams']} beams: {_GREEDY}")
