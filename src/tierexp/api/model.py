"""A model to ask from Python: `tierexp.load_model("tiny").answer(image, question, tier="medium")`.

In: images and questions. Out: answers, with what was selected, counted and measured. The same
preprocessing, batches and generation as `eval.py`, without a trainer, a logger or files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import torch

from tierexp.api.composition import model_and_resize
from tierexp.api.images import AskedQuestions, ImageLike
from tierexp.config.checks import whole_number
from tierexp.data.datamodule import TierDataModule
from tierexp.errors import ConfigError, DataError
from tierexp.evaluation.asking import answered
from tierexp.evaluation.latency_meter import LatencyMeter
from tierexp.imaging.resize import Resize, ResizeMode
from tierexp.models.protocol import HasPublishedProcessor, ModelSource, VisionLanguageModel
from tierexp.results.latency import LatencySettings, SampleLatency
from tierexp.tiers.files import load_tier
from tierexp.tiers.native import NativeRule
from tierexp.tiers.rule import CropRule
from tierexp.tiers.selection import Selection
from tierexp.tiers.threshold import Threshold


@dataclass(frozen=True)
class Answer:
    """What a model says about an image, and what that took.

    Args:
        text: The answer.
        selection: Crops, tiling and mismatch.
        selected_vision_tokens: The budget, the global view's included.
        actual_vision_tokens: Those of them that see a pixel of the
            image.
        llm_vision_tokens: What the language model received.
        confidence: Mean log-probability of the answer's tokens, natural logarithm; None where the
            model tells none.
        first_margin: Probability of the first token less that of its closest rival, in [0, 1];
            None where the model tells none.
        latency: Milliseconds by stage, of this sample alone; None where nothing was timed.
    """

    text: str
    selection: Selection
    selected_vision_tokens: int
    actual_vision_tokens: int
    llm_vision_tokens: int
    confidence: float | None
    first_margin: float | None
    latency: SampleLatency | None


class Model:
    """A loaded model.

    Args:
        source: Where it came from.
        model: On its device.
        device: That device.
        resize: How images meet their canvases where a question does not say otherwise.
    """

    def __init__(
        self,
        source: ModelSource,
        model: VisionLanguageModel,
        device: torch.device,
        resize: Resize = Resize(),
    ) -> None:
        self.source = source
        self.device = device
        self._model = model
        self._resize = resize
        self._tokenizer = source.tokenizer()

    @overload
    def answer(
        self, image: ImageLike, question: str, *, tier: str | Path | CropRule | None = ...,
        threshold: Threshold = ..., resize: ResizeMode | Resize | None = ...,
        max_new_tokens: int | None = ..., batch_size: int = ..., latency: bool = ...,
    ) -> Answer: ...  # fmt: skip

    @overload
    def answer(
        self, image: list[ImageLike], question: str | Sequence[str], *,
        tier: str | Path | CropRule | None = ..., threshold: Threshold = ...,
        resize: ResizeMode | Resize | None = ..., max_new_tokens: int | None = ...,
        batch_size: int = ..., latency: bool = ...,
    ) -> list[Answer]: ...  # fmt: skip

    def answer(
        self,
        image: ImageLike | list[ImageLike],
        question: str | Sequence[str],
        *,
        tier: str | Path | CropRule | None = "medium",
        threshold: Threshold = Threshold(),
        resize: ResizeMode | Resize | None = None,
        max_new_tokens: int | None = None,
        batch_size: int = 8,
        latency: bool = False,
    ) -> Answer | list[Answer]:
        """Ask about an image, or about many at once.

        Args:
            image: A path, a Pillow image, the bytes of a file, an array (height, width, 3) uint8,
                or a list of such.
            question: About it; for a list of images one for each, or one for all.
            tier: `low`, `medium`, `high`, another option of `conf/tier`, a YAML file, or a rule;
                None for the family's own rule.
            threshold: When a tier's preferred counts suffice.
            resize: How an image meets its canvas; None for the way of the model's family.
            max_new_tokens: The longest answer; None for the model's own.
            batch_size: Most samples that are answered together.
            latency: Answer every sample alone and time its stages.

        Returns:
            One answer, or for a list of images a list in its order.

        Raises:
            TierexpError: A tier that does not exist or that the family does not reach, an image
                that cannot be read, or a question that the model does not answer.
        """
        images = image if isinstance(image, list) else [image]
        questions = [question] * len(images) if isinstance(question, str) else list(question)
        limit = self.source.max_new_tokens if max_new_tokens is None else max_new_tokens
        whole_number("max_new_tokens", limit, 1)
        rule = load_tier(tier) if isinstance(tier, str | Path) else tier or self._own_rule()
        preprocessing = self.source.preprocessing(rule, threshold, self._resizing(resize))
        preprocessing.check(rule)
        data = TierDataModule(
            AskedQuestions(images, questions), self.source, preprocessing,
            1 if latency else whole_number("batch_size", batch_size, 1), num_workers=0,
            on_error="raise",
        )  # fmt: skip
        answers = self._answers(data, limit, latency)
        return answers if isinstance(image, list) else answers[0]

    def _own_rule(self) -> NativeRule:
        if isinstance(self.source, HasPublishedProcessor):
            return NativeRule(max_crops=self.source.published().max_crops)
        return NativeRule()

    def _resizing(self, asked: ResizeMode | Resize | None) -> Resize:
        if asked is None:
            return self._resize
        return asked if isinstance(asked, Resize) else Resize(asked)

    def _answers(self, data: TierDataModule, limit: int, latency: bool) -> list[Answer]:
        meter = LatencyMeter(LatencySettings(), self._model, self.device) if latency else None
        found: dict[int, Answer] = {}
        for batch in data.test_dataloader():
            whole = data.on_before_batch_transfer(batch, 0)  # refuses an image that is broken
            assert whole.inputs is not None
            inputs = whole.inputs.to(self.device)
            tokens, timed, facts = answered(self._model, inputs, limit, meter)
            rows = zip(whole.prepared, tokens.tolist(), facts, strict=True)
            for prepared, row, known in rows:
                if known.failure is not None:
                    raise DataError(f"question {prepared.index}: {known.failure}")
                found[prepared.index] = Answer(
                    text=self._tokenizer.decode(row),
                    selection=prepared.selection,
                    selected_vision_tokens=prepared.measured.selected_vision_tokens,
                    actual_vision_tokens=prepared.measured.actual_vision_tokens,
                    llm_vision_tokens=prepared.measured.llm_vision_tokens,
                    confidence=known.confidence.mean_log_probability,
                    first_margin=known.confidence.first_margin,
                    latency=timed,
                )
        return [found[index] for index in sorted(found)]


def load_model(
    model: str | Path = "tiny", *, device: str | torch.device | None = None, **settings: object
) -> Model:
    """Load a model.

    Args:
        model: `tiny`, the one in the box; another option of `conf/model`, such as `molmoe_1b`; or
            a checkpoint's folder, of any family that answers.
        device: `cpu`, `cuda:0`, ...; None for the GPU where there is one.
        settings: Keys of the group `model`, such as `top_k=1` or `num_active_blocks=3`.

    Raises:
        TierexpError: There is no such model or device, or a setting cannot work.
    """
    source, resize = model_and_resize(model, settings)
    try:
        chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    except RuntimeError:
        raise ConfigError("device", str(device), "cpu, cuda, or cuda with a number") from None
    return Model(source, source.load(chosen), chosen, resize)
