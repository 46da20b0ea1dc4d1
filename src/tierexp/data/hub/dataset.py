"""A published benchmark as a data set of questions.

In: a source of rows, and what its columns mean. Out: samples by index, sizes and pixels, as
`tierexp.data.sample` asks for. Every question and answer of the chosen rows is read and checked
when the data set is made; images are read when they are asked for. Knows nothing about crops or
models.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray

from tierexp.config import checks
from tierexp.data.hub.answers import (
    AnswerKind,
    answers_of,
    answers_of_choice,
    places_of,
    pruned,
    texts_of,
)
from tierexp.data.hub.columns import Columns
from tierexp.data.hub.prompt import Prompt
from tierexp.data.hub.source import Source
from tierexp.data.hub.subset import fixed_subset
from tierexp.data.sample import Sample
from tierexp.data.scores.multiple_choice import names_option
from tierexp.data.scores.registry import find_score
from tierexp.errors import ConfigError, DataError, ImageDecodeError
from tierexp.imaging.decode import DecodeMode, decode_image, read_image_size
from tierexp.models.prompt_format import PromptFormat, QuestionParts, plain_prompt

if TYPE_CHECKING:
    from datasets import Dataset


class HubDataset:
    """Samples of one split, in the order of its rows.

    Args:
        hub: Id on the hub; None with a `path`.
        path: A local copy, read instead of the hub.
        config: Name of the data set's config on the hub, or a list of names to read one after the
            other; None where it has one.
        split: The rows to read.
        revision: Branch, tag or commit on the hub.
        streaming: Download rows as they are read rather than the whole split; takes the first
            `max_samples`, which are held in memory.
        max_samples: Keep so many; None keeps all.
        subset_seed: Which ones: a random subset that is the same on every machine. None keeps the
            first.
        name: How results call the data set, and the task of samples without one; None takes the
            name on the hub, or that of the folder.
        columns: What each column holds (`Columns`).
        answers_are: What answers are where there are options.
        prune_options: Leave out options that are `{}` or equal to an earlier one, as Molmo's reader
            of AI2D does.
        prompt: What a question is (`Prompt`).
        score: What accuracy is the mean of: a name, or an import path (`find_score`). With `mme`
            the two questions about an image are kept or left out together.
        prompt_format: How the model is asked (`ModelSource.prompt_format`).
        decode: Whether a photo that is to be made smaller is decoded `exact`, that is, whole, or
            `scaled`, at a fraction of its size (`tierexp.imaging.decode`).

    Raises:
        ConfigError: A value that cannot work, a folder or split that does not exist, or the
            package `datasets` is missing.
        DataError: The source cannot be read, a column is missing, or a row has no question, no
            answers, or answers that do not fit the score. The message names the row.
    """

    def __init__(
        self,
        columns: Mapping[str, str | None],
        split: str,
        hub: str | None = None,
        path: str | Path | None = None,
        config: str | Sequence[str] | None = None,
        revision: str | None = None,
        streaming: bool = False,
        max_samples: int | None = None,
        subset_seed: int | None = None,
        name: str | None = None,
        answers_are: AnswerKind = "text",
        prune_options: bool = False,
        prompt: Mapping[str, Any] | None = None,
        score: object = "exact_match",
        prompt_format: PromptFormat = plain_prompt,
        decode: DecodeMode = "exact",
    ) -> None:
        self.score = find_score(score)
        checks.choice("data.answers_are", answers_are, get_args(AnswerKind))
        checks.choice("data.decode", decode, get_args(DecodeMode))
        self._scaled = decode == "scaled"
        most = checks.optional_whole_number("data.max_samples", max_samples, 1)
        seed = checks.optional_whole_number("data.subset_seed", subset_seed, 0)
        if checks.flag("data.streaming", streaming):
            _refuse_streaming(most, seed)
        self._kind = answers_are
        self._prune = checks.flag("data.prune_options", prune_options)
        self._format = prompt_format
        self._columns = Columns.from_config(columns)
        self._prompt = Prompt.from_config({} if prompt is None else prompt)
        self._source = Source(
            None if hub is None else checks.text("data.hub", hub),
            None if path is None else checks.path("data.path", path),
            _config_names(config),
            checks.text("data.split", split),
            None if revision is None else checks.text("data.revision", revision),
        )
        self.name = self._source.name if name is None else checks.text("data.name", name)
        image = self._columns.image
        table = self._source.first(most or 0, image) if streaming else self._source.table(image)
        self._columns.check(table.column_names, self._source.where)
        if not len(table):
            raise DataError(f"{self._source.where}: no rows")
        rows = self._choose(table, most, seed)
        if len(rows) < len(table):
            table = table.select(rows)
        self._images = table.select_columns([image])
        self._keys: list[str | None]
        self._samples, self._keys = self._read(table, rows)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Sample:
        return self._samples[index]

    def image_key(self, index: int) -> str:
        """The image's id, or a digest of its file."""
        key = self._keys[index]
        if key is None:
            try:
                key = blake2b(self._file(index), digest_size=16).hexdigest()
            except ImageDecodeError:
                key = f"none-{self._samples[index].sample_id}"
            self._keys[index] = key
        return key

    def image_size(self, index: int) -> tuple[int, int]:
        """(height, width) in pixels, from the header of a sample's image.

        Raises:
            ImageDecodeError: There is no image, or its header cannot be read.
        """
        return read_image_size(self._file(index))

    def image(self, index: int) -> NDArray[np.uint8]:
        """A sample's image, (height, width, 3) RGB.

        Raises:
            ImageDecodeError: There is none, or it cannot be decoded.
        """
        return decode_image(self._file(index))

    def image_at_least(self, index: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        """The same, smaller where photos are decoded scaled, but at least of this (height, width).

        Raises:
            ImageDecodeError: There is none, or it cannot be decoded.
        """
        return decode_image(self._file(index), least=size if self._scaled else None)

    def _file(self, index: int) -> bytes:
        cell = self._images[index][self._columns.image]
        content = cell.get("bytes") if isinstance(cell, Mapping) else cell
        if isinstance(content, bytes):
            return content
        # A path in someone else's data is not followed: it could name any file of this machine.
        raise ImageDecodeError("the row holds no bytes of an image")

    def _choose(self, table: Dataset, most: int | None, seed: int | None) -> list[int]:
        rows = len(table)
        units: Sequence[Any] = range(rows)
        if self.score.pairs_questions:
            if self._columns.image_id is None:
                allowed = (
                    f"the column that tells images apart: score {self.score.name} pairs questions"
                )
                raise ConfigError("data.columns.image_id", None, allowed)
            units = table[self._columns.image_id][:]
            for image, questions in Counter(units).items():
                if questions != 2:
                    raise DataError(
                        f"{self._source.where}: {questions} questions about image {image!r}; "
                        f"score {self.score.name} pairs two"
                    )
        chosen = fixed_subset(units, most, seed)
        if not chosen:
            allowed = (
                f"enough for all questions about an image: {self.score.name} scores them together"
            )
            raise ConfigError("data.max_samples", most, allowed)
        return chosen

    def _read(self, table: Dataset, rows: Sequence[int]) -> tuple[list[Sample], list[str | None]]:
        """Samples and image ids of the chosen rows."""
        names = self._columns.named()
        names.pop("image")
        labels = {
            key: table.features[column]
            for key, column in names.items()
            if hasattr(table.features[column], "int2str")
        }
        samples: list[Sample] = []
        keys: list[str | None] = []
        row_of: dict[str, int] = {}
        for row, cells in zip(rows, table.select_columns([*set(names.values())]), strict=True):
            fields = {key: cells[column] for key, column in names.items()}
            for key, feature in labels.items():
                value = fields[key]
                fields[key] = feature.int2str(value) if isinstance(value, int) else value
            where = f"{self._source.where}, row {row}"
            sample = self._sample(fields, row, where)
            if sample.sample_id in row_of:
                before = row_of[sample.sample_id]
                raise DataError(f"{where}: id {sample.sample_id!r} is already that of row {before}")
            row_of[sample.sample_id] = row
            samples.append(sample)
            keys.append(None if "image_id" not in names else self._text(fields, "image_id", where))
        return samples, keys

    def _sample(self, fields: Mapping[str, Any], row: int, where: str) -> Sample:
        question = self._text(fields, "question", where)
        options = self._texts(fields, "options", where)
        right: list[int] = []
        try:
            if options:
                right = places_of(fields["answers"], options, self._kind)
                if self._prune:
                    options, right = pruned(options, right)
            else:
                answers_of(fields["answers"])
        except ValueError as error:
            expected = f"data.answers_are={self._kind} expects {error}"
            raise self._wrong(fields, "answers", where, expected) from None
        try:
            parts = self._prompt.parts(question, options, str(fields.get("hint") or ""))
        except ValueError as error:
            raise self._wrong(fields, "options", where, f"expected {error}") from None
        answers, options_of_letters = self._answers(fields, parts, right, where)
        return Sample(
            sample_id=(
                self._text(fields, "id", where)
                if "id" in fields
                else f"{self._source.split}-{row:06d}"
            ),
            question=self._format(parts),
            answers=answers,
            task=self._text(fields, "task", where) if "task" in fields else self.name,
            options=options_of_letters,
        )

    def _answers(
        self, fields: Mapping[str, Any], parts: QuestionParts, right: Sequence[int], where: str
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What is accepted, and what the letters A, B, ... stand for where there are letters."""
        if right:
            answers = answers_of_choice(right, parts.options, parts.listing == "lettered")
        else:
            answers = tuple(answers_of(fields["answers"]))
        options = () if parts.listing == "unlettered" else parts.options
        if parts.listing == "in_text" and not names_option(answers, options):
            options = ()  # lines that only look like options
        try:
            self.score("", answers, options)
        except ValueError as error:
            expected = f"data.score={self.score.name} expects {error}"
            raise self._wrong(fields, "answers", where, expected) from None
        return answers, options

    def _texts(self, fields: Mapping[str, Any], key: str, where: str) -> list[str]:
        try:
            return texts_of(fields.get(key))
        except ValueError as error:
            raise self._wrong(fields, key, where, f"expected {error}") from None

    def _text(self, fields: Mapping[str, Any], key: str, where: str) -> str:
        value = fields[key]
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if isinstance(value, str) and value.strip():
            return value
        raise self._wrong(fields, key, where, "expected text that is not empty")

    def _wrong(self, fields: Mapping[str, Any], key: str, where: str, expected: str) -> DataError:
        shown = repr(fields[key])
        shown = shown if len(shown) <= 100 else f"{shown[:100]}..."
        column = self._columns.named()[key]
        return DataError(f"{where}: column {column!r} is {shown}; {expected}")


def _refuse_streaming(most: int | None, seed: int | None) -> None:
    if most is None:
        raise ConfigError("data.max_samples", None, "a number: streamed rows are held in memory")
    if seed is not None:
        allowed = (
            "null with data.streaming=true, which takes the first rows: a random subset needs all"
        )
        raise ConfigError("data.subset_seed", seed, allowed)


def _config_names(config: object) -> tuple[str, ...]:
    if config is None:
        return ()
    names = config if isinstance(config, list | tuple) else [config]
    if not names or not all(isinstance(name, str) and name.strip() for name in names):
        raise ConfigError("data.config", config, "a name, a list of names, or null")
    return tuple(names)
