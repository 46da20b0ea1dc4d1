"""A user's own images and questions: JSON lines beside image files.

In: a file with one object a line, `{"id", "image", "question", "answers": [...]}`; image paths are
relative to the file. Out: samples by index, sizes and pixels, as `tierexp.data.sample` asks for.
Every line is checked when the data set is made, before any model is loaded; images are only looked
up then, and read when they are asked for. Knows nothing about crops or models.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tierexp.config import checks
from tierexp.data.sample import Sample
from tierexp.errors import ConfigError, DataError
from tierexp.imaging.decode import decode_image, read_image_size
from tierexp.scores.registry import Score, find_question_score

EXPECTED = '{"id": "1", "image": "photo.jpg", "question": "What is it?", "answers": ["a cat"]}'
FIELDS = ("id", "image", "question", "answers")


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

    Raises:
        ConfigError: The file is missing, `max_samples` is below 1, or the score is unknown.
        DataError: A line is not a JSON object with the four fields, one of them is missing, empty
            or of the wrong type, the score is not defined for its answers, an id occurs twice, an
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
    ) -> None:
        checks.optional_whole_number("data.max_samples", max_samples, 1)
        anywhere = checks.flag("data.images_anywhere", images_anywhere)
        self.score = find_question_score(score)
        file = checks.path("data.path", path)
        if not file.is_file():
            raise ConfigError("data.path", str(path), "an existing file of JSON lines")
        self.name = file.stem if name is None else checks.text("data.name", name)
        self._entries = _read(file, self.name, self.score, anywhere)[:max_samples]
        self._folder = file.parent

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> Sample:
        return self._entries[index].sample

    def image_key(self, index: int) -> str:
        """The path of a sample's image from the file's folder, the same wherever that lies."""
        return os.path.relpath(self._entries[index].image, self._folder)

    def image_size(self, index: int) -> tuple[int, int]:
        """(height, width) in pixels, from the header of a sample's image.

        Raises:
            ImageDecodeError: Its header cannot be read.
        """
        return read_image_size(self._entries[index].image)

    def image(self, index: int) -> NDArray[np.uint8]:
        """A sample's image, (height, width, 3) RGB.

        Raises:
            ImageDecodeError: It cannot be decoded.
        """
        return decode_image(self._entries[index].image)


@dataclass(frozen=True)
class _Entry:
    sample: Sample
    image: Path


def _read(file: Path, task: str, score: Score, anywhere: bool) -> list[_Entry]:
    entries: list[_Entry] = []
    line_of: dict[str, int] = {}
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise DataError(f"{file}: {error.strerror}") from None
    folder = file.resolve().parent
    # Not splitlines(): a JSON string may hold any of the line breaks of Unicode but these.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        entry = _parse(line, where, folder, task, score, anywhere)
        identity = entry.sample.sample_id
        if identity in line_of:
            raise DataError(f"{where}: id {identity!r} is already that of line {line_of[identity]}")
        line_of[identity] = number
        entries.append(entry)
    if not entries:
        raise DataError(f"{file}: no samples; expected lines such as {EXPECTED}")
    return entries


def _parse(line: str, where: str, folder: Path, task: str, score: Score, anywhere: bool) -> _Entry:
    try:
        fields = json.loads(line)
    except json.JSONDecodeError as error:
        problem = f"malformed JSON at column {error.colno} ({error.msg})"
        raise DataError(f"{where}: {problem}; expected {EXPECTED}") from None
    if not isinstance(fields, dict):
        raise DataError(f"{where}: not a JSON object; expected {EXPECTED}")
    identity, image, question = (_text(fields, field, where) for field in FIELDS[:3])
    answers = fields.get("answers")
    if not isinstance(answers, list) or not answers or not all(map(_is_text, answers)):
        problem = f"field 'answers' is {_shown(fields, 'answers')}"
        raise DataError(f"{where}: {problem}; expected a list of at least one non-empty string")
    try:
        score("", answers)
    except ValueError as error:
        problem = f"field 'answers' is {_shown(fields, 'answers')}"
        raise DataError(f"{where}: {problem}; data.score={score.name} expects {error}") from None
    try:
        found = (folder / image).resolve()  # one path per file, however it is written
        # Said whether it exists or not: that, too, would be news from elsewhere.
        if not anywhere and not found.is_relative_to(folder):
            raise DataError(
                f"{where}: image {_short(str(folder / image))} lies outside {folder}; "
                "data.images_anywhere=true allows that"
            )
        exists = found.is_file()
    except (OSError, RuntimeError, ValueError):
        exists = False  # a name that no file can have, such as a base64 picture, or a loop of links
    if not exists:
        raise DataError(f"{where}: image {_short(str(folder / image))} does not exist")
    return _Entry(Sample(identity, question, tuple(answers), task), found)


def _text(fields: dict[str, object], field: str, where: str) -> str:
    value = fields.get(field)
    if isinstance(value, str) and _is_text(value):
        return value
    raise DataError(
        f"{where}: field {field!r} is {_shown(fields, field)}; expected a non-empty string"
    )


def _is_text(value: object) -> bool:
    if not isinstance(value, str) or not value.strip():
        return False
    try:
        value.encode()  # JSON can spell half of a character, which nothing could write down again
    except UnicodeEncodeError:
        return False
    return True


def _shown(fields: dict[str, object], field: str) -> str:
    if field not in fields:
        return "missing"
    return _short(json.dumps(fields[field]))


def _short(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}..."
