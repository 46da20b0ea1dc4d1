"""A model whose answers stand in a table, and a data set of plain images: the truth of every run
made with them is known beforehand. `tests/conf` makes them options of the command line."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tierexp.data.sample import Sample
from tierexp.errors import ConfigError, ImageDecodeError
from tierexp.imaging.preprocessing import Preprocessing
from tierexp.imaging.resize import Resize
from tierexp.models.confidence import UNOBSERVED, AnswerObserver
from tierexp.models.molmo.crop_inputs import CropInputs
from tierexp.models.molmo.model_inputs import ModelInputs
from tierexp.models.prompt_format import PromptFormat, plain_prompt
from tierexp.models.protocol import VisionLanguageModel
from tierexp.models.stages import UNTIMED, StageClock, StageFlops
from tierexp.tiers.geometry import CropGeometry
from tierexp.tiers.rule import CropRule
from tierexp.tiers.threshold import Threshold

EOS, PAD, FIRST_LETTER = 0, 1, 10
CTRL_C, DEFECT = "<ctrl-c>", "<defect>"
"""Answers that break off the run."""
DEFECT_AT = "TIEREXP_TEST_DEFECT"
"""Environment variable with a question that breaks it off, whatever the table says."""
KILL = "TIEREXP_TEST_KILL"
"""Environment variable with the index of an image that kills the worker which reads it."""
MEMORY = "TIEREXP_TEST_MEMORY"
"""Environment variable with the most vision tokens that fit into memory at once."""
ANSWERED_IN = "TIEREXP_TEST_ANSWERED_IN"
"""Environment variable with a file that takes down every question answered, by any process."""
IMAGE_TOKENS = SimpleNamespace(im_start=2, view_start=2, im_end=3, im_patch=4, im_col=5, view_col=5)


class LetterTokenizer:
    """One token a letter."""

    before_image, eos_id, pad_id, image_tokens = (EOS,), EOS, PAD, IMAGE_TOKENS

    def encode_prompt(self, question: str) -> list[int]:
        return [FIRST_LETTER + ord(letter) for letter in question]

    def decode(self, ids: Sequence[int]) -> str:
        letters = list(ids)
        if EOS in letters:
            letters = letters[: letters.index(EOS)]
        return "".join(chr(letter - FIRST_LETTER) for letter in letters)


@dataclass
class TableModel:
    """Reads the question off the prompt's tokens and looks its answer up, first with the number of
    crops behind it, `question@6`.
    """

    table: dict[str, str]
    top_k: int | None
    num_active_blocks: int = 3

    def generate(
        self,
        inputs: ModelInputs,
        max_new_tokens: int,
        *,
        clock: StageClock = UNTIMED,
        fixed_length: bool = False,
        observer: AnswerObserver = UNOBSERVED,
    ) -> torch.Tensor:
        time.sleep(float(os.environ.get("TIEREXP_TEST_SLOW", "0")))
        if inputs.pixels.shape[1] * 144 * len(inputs.input_ids) > int(
            os.environ.get(MEMORY, 10**9)
        ):
            torch.empty(1 << 60, dtype=torch.uint8)  # PyTorch's own answer to a machine too small
        for stage in ("vision", "prefill", "decode"):
            with clock.stage(stage):
                pass
        answers, answered = [], []
        for row in inputs.input_ids.tolist():
            question = "".join(chr(token - FIRST_LETTER) for token in row if token >= FIRST_LETTER)
            at_count = f"{question}@{inputs.pixels.shape[1] - 1}"
            answer = self.table.get(at_count, self.table.get(question, "I do not know"))
            if answer == CTRL_C:
                raise KeyboardInterrupt
            if answer == DEFECT or question == os.environ.get(DEFECT_AT):
                raise RuntimeError("a defect")
            answered.append(f"{question}\n")
            answers.append([FIRST_LETTER + ord(letter) for letter in answer][:max_new_tokens])
        if ANSWERED_IN in os.environ:
            with Path(os.environ[ANSWERED_IN]).open("a") as file:
                file.write("".join(answered))
        tokens = torch.full((len(answers), max_new_tokens), EOS)
        for row, answer in zip(tokens, answers, strict=True):
            row[: len(answer)] = torch.tensor(answer, dtype=torch.long)
        return tokens

    def stage_flops(self, inputs: ModelInputs, new_tokens: int) -> StageFlops:
        return StageFlops(inputs.pixels.shape[1], inputs.input_ids.shape[1], new_tokens)


@dataclass(frozen=True)
class TableSource:
    """The model source of a `TableModel`.

    Args:
        table: JSON file of question to answer.
        loaded: File that is made when the model is loaded.
    """

    table: str
    loaded: str | None = None
    name: str = "table"
    top_k: int | None = None
    max_new_tokens: int = 16
    geometry: CropGeometry = field(default_factory=CropGeometry)
    prompt_format: PromptFormat = plain_prompt

    def __post_init__(self) -> None:
        if not Path(self.table).is_file():
            raise ConfigError("model.table", self.table, "an existing JSON file")

    def preprocessing(self, tier: CropRule, threshold: Threshold, resize: Resize) -> Preprocessing:
        return Preprocessing(tier, threshold, resize, self.geometry)

    def inputs(self) -> CropInputs:
        return CropInputs(self.tokenizer())

    def tokenizer(self) -> LetterTokenizer:
        return LetterTokenizer()

    @property
    def weights(self) -> str:
        return Path(self.table).read_text()

    def with_knobs(self, settings: Mapping[str, Any]) -> TableSource:
        return replace(self, **settings)

    @property
    def knob_values(self) -> dict[str, int | None]:
        return {"top_k": self.top_k, "num_active_blocks": 3}

    def apply_knobs(self, model: VisionLanguageModel) -> None:
        assert isinstance(model, TableModel)
        model.top_k = self.top_k

    def load(self, device: torch.device) -> TableModel:
        if self.loaded is not None:
            Path(self.loaded).touch()
        return TableModel(json.loads(Path(self.table).read_text()), self.top_k)


class PlainImages:
    """Grey images; the sizes say all there is to know.

    Args:
        path: JSON file of [[height, width], question, [answers], task] lists; a height of 0 is an
            image that cannot be read, a negative one breaks only once it is decoded.
        score: Of the answers.
    """

    name = "plain_images"

    def __init__(
        self, path: str, max_samples: int | None = None, score: str = "exact_match"
    ) -> None:
        self.score = score
        if not Path(path).is_file():
            raise ConfigError("data.path", path, "an existing JSON file")
        self._rows = json.loads(Path(path).read_text())[:max_samples]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Sample:
        _, question, answers, task = self._rows[index]
        return Sample(f"s{index}", question, tuple(answers), task)

    def image_key(self, index: int) -> str:
        return str(index)

    def image_size(self, index: int) -> tuple[int, int]:
        height, width = self._rows[index][0]
        if height == 0:
            raise ImageDecodeError("not an image")
        return abs(height), width

    def image(self, index: int) -> NDArray[np.uint8]:
        height, width = self._rows[index][0]
        if height <= 0:
            raise ImageDecodeError("the pixels are truncated")
        if str(index) == os.environ.get(KILL) and torch.utils.data.get_worker_info() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return np.full((height, width, 3), 128, np.uint8)
