"""A user's own images and questions: JSON lines beside image files.

In: a file with one object a line, `{"id", "image", "question", "answers": [...]}`, or an array of
them; image paths are relative to the file. Out: samples by index, sizes and pixels, as
`tierexp.data.sample` asks for. Every line is checked when the data set is made, before any model is
loaded; images are only looked up then, and read when they are asked for. Knows nothing about crops
or models.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from tierexp.config import checks
from tierexp.data.image_paths import ImagePaths
from tierexp.data.json_rows import read_rows
from tierexp.data.sample import Sample
from tierexp.data.scores.registry import find_question_score
from tierexp.errors import ConfigError, DataError
from tierexp.imaging.decode import DecodeMode, decode_image, read_image_size

EXPECTED = '{"id": "1", "image": "photo.jpg", "question": "What is it?", "answers": ["a cat"]}'


class FolderDataset:
    """Samples of a JSON-lines file, in the order of its lines; empty lines are skipped.

    Args:
        path: The file.
        max_samples: Keep only the first samples; None keeps all. All lines are checked either way.
        name: How results call the data set, and the task of its samples; None takes the file's
            name without its suffix.
        score: What accuracy is the mean of: a name, or an import path (`find_question_score`).
        images_anywhere: Whether an image may lie outside the file's folder: the file of somebody
            else could name any picture of this machine.
        decode: Whether a photo that is to be made smaller is decoded `exact`, that is, whole, or
            `scaled`, at a fraction of its size (`tierexp.imaging.decode`).

    Raises:
        ConfigError: The file is missing, `max_samples` is below 1, or the score or the way of
            decoding is unknown.
        DataError: A line is not a JSON object with the four fields, one of them is missing, empty
            or of the wrong type (ids and answers may be numbers, a single answer need not be in a
            list), the score is not defined for its answers, an id occurs twice, an
            image does not exist or lies elsewhere, symbolic links followed, or the file has no
            samples. The message names file and line.
            Other fields are ignored, since files often carry notes of their own; a misspelt field
            is still found, as the one that is missing.
    """

    def __init__(
        self,
        path: str | Path,
        max_samples: int | None = None,
        name: str | None = None,
        score: object = "exact_match",
        images_anywhere: bool = False,
        decode: DecodeMode = "exact",
    ) -> None:
        checks.optional_whole_number("data.max_samples", max_samples, 1)
        anywhere = checks.flag("data.images_anywhere", images_anywhere)
        checks.choice("data.decode", decode, get_args(DecodeMode))
        self._scaled = decode == "scaled"
        self.score = find_question_score(score)
        file = checks.path("data.path", path)
        if not file.is_file():
            raise ConfigError("data.path", str(path), "an existing file of JSON lines")
        self.name = file.stem if name is None else checks.text("data.name", name)
        paths = ImagePaths(file.resolve().parent, anywhere)
        self._samples: list[Sample] = []
        self._images: list[str] = []  # of each sample, the absolute path
        self._read(file, paths)
        if max_samples is not None:
            del self._samples[max_samples:], self._images[max_samples:]
        self._keys = {image: paths.key(image) for image in dict.fromkeys(self._images)}

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Sample:
        return self._samples[index]

    def image_key(self, index: int) -> str:
        """The path of a sample's image from the file's folder, the same wherever that lies."""
        return self._keys[self._images[index]]

    def image_size(self, index: int) -> tuple[int, int]:
        """(height, width) in pixels, from the header of a sample's image.

        Raises:
            ImageDecodeError: Its header cannot be read.
        """
        return read_image_size(self._images[index])

    def image(self, index: int) -> NDArray[np.uint8]:
        """A sample's image, (height, width, 3) RGB.

        Raises:
            ImageDecodeError: It cannot be decoded.
        """
        return decode_image(self._images[index])

    def image_at_least(self, index: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        """The same, smaller where photos are decoded scaled, but at least of this (height, width).

        Raises:
            ImageDecodeError: It cannot be decoded.
        """
        return decode_image(self._images[index], least=size if self._scaled else None)

    def _read(self, file: Path, paths: ImagePaths) -> None:
        place_of: dict[str, str] = {}
        scored: dict[tuple[str, ...], tuple[str, ...]] = {}
        for place, fields in read_rows(file, EXPECTED):
            try:
                sample = self._sample(fields, scored)
                image = paths.find(_text(fields, "image"))
            except ValueError as error:
                raise DataError(f"{file}, {place}: {error}") from None
            identity = sample.sample_id
            if identity in place_of:
                problem = f"id {identity!r} is already that of {place_of[identity]}"
                raise DataError(f"{file}, {place}: {problem}")
            place_of[identity] = place
            self._samples.append(sample)
            self._images.append(image)
        if not self._samples:
            raise DataError(f"{file}: no samples; expected lines such as {EXPECTED}")

    def _sample(
        self, fields: Mapping[str, Any], scored: dict[tuple[str, ...], tuple[str, ...]]
    ) -> Sample:
        """The sample of a line; `scored` holds the answers that the score is known to take, which
        samples share.

        Raises:
            ValueError: Its reason is what is wrong with the line.
        """
        identity, question = _text(fields, "id", number=True), _text(fields, "question")
        written = fields.get("answers")
        several = written if isinstance(written, list) else [written]
        answers = tuple(_as_text(answer, number=True) for answer in several)
        if not answers or "" in answers:
            raise ValueError(
                f"field 'answers' is {_shown(fields, 'answers')}; expected a list of at least one "
                "non-empty string"
            )
        try:
            if answers not in scored:
                self.score("", answers)
                scored[answers] = answers
        except ValueError as error:
            shown = _shown(fields, "answers")
            raise ValueError(
                f"field 'answers' is {shown}; data.score={self.score.name} expects {error}"
            ) from None
        return Sample(identity, question, scored[answers], self.name)


def _text(fields: Mapping[str, Any], field: str, number: bool = False) -> str:
    text = _as_text(fields.get(field), number)
    if not text:
        expected = "a non-empty string" + (" or a number" if number else "")
        raise ValueError(f"field {field!r} is {_shown(fields, field)}; expected {expected}")
    return text


def _as_text(value: object, number: bool) -> str:
    """A text as it is, a number as it is written; empty where it is neither, or says nothing."""
    if isinstance(value, str):
        if not value or value.isspace():
            return ""
        if not value.isascii():
            try:
                value.encode()  # JSON can spell half of a character, which nothing could write
            except UnicodeEncodeError:
                return ""
        return value
    if not number or isinstance(value, bool):
        return ""
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return str(value)
    return ""


def _shown(fields: Mapping[str, Any], field: str) -> str:
    if field not in fields:
        return "missing"
    text = json.dumps(fields[field])
    return text if len(text) <= 200 else f"{text[:200]}..."
