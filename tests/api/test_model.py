"""A model asked from Python answers as `eval.py` does, one by one or in batches."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

import tierexp
from tierexp.api.model import Model
from tierexp.data.tierqa import TierQA
from tierexp.errors import ConfigError, ImageDecodeError, TierexpError
from tierexp.models.confidence import AnswerFacts, UnansweredError

QUESTIONS = TierQA("test", 14)
"""Seven about each of two pictures."""


@pytest.fixture(scope="module")
def model() -> Model:
    return tierexp.load_model("tiny", device="cpu")


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("evaluated")
    results = tierexp.evaluate(
        "data.max_samples=14", "logger=none", "trainer=cpu", "data.num_workers=0", tier="low",
        output_dir=folder,
    )  # fmt: skip
    return {sample.question + sample.image_key: sample for sample in results.per_sample_results}


@pytest.mark.whole
def test_a_list_gives_the_answers_of_an_evaluation(
    model: Model, evaluated: dict[str, object]
) -> None:
    indices = range(len(QUESTIONS))
    answers = model.answer(
        [QUESTIONS.image(index) for index in indices],
        [QUESTIONS[index].question for index in indices],
        tier="low",
    )
    for index, answer in zip(indices, answers, strict=True):
        sample = evaluated[QUESTIONS[index].question + QUESTIONS.image_key(index)]
        assert answer.text == sample.prediction
        assert answer.selection.tiling == sample.selected_tiling
        assert answer.selected_vision_tokens == sample.selected_vision_tokens
        assert answer.actual_vision_tokens == sample.actual_vision_tokens
        assert answer.llm_vision_tokens == sample.llm_vision_tokens
        assert answer.confidence == pytest.approx(sample.confidence, abs=1e-3)


@pytest.mark.whole
def test_paths_pictures_and_arrays_give_the_same(model: Model, tmp_path: Path) -> None:
    pixels, question = QUESTIONS.image(0), QUESTIONS[0].question
    picture = Image.fromarray(pixels)
    picture.save(tmp_path / "a.png")
    answers = [
        model.answer(image, question, tier="low")
        for image in (str(tmp_path / "a.png"), tmp_path / "a.png", picture, pixels)
    ]
    assert len(set(answers)) == 1
    assert answers[0].latency is None
    assert -20 < answers[0].confidence <= 0
    assert 0 <= answers[0].first_margin <= 1


@pytest.mark.whole
def test_one_question_for_all_images_and_latency(model: Model) -> None:
    answers = model.answer(
        [QUESTIONS.image(0), QUESTIONS.image(7)], "Is there a red circle?", tier="low",
        latency=True, max_new_tokens=2,
    )  # fmt: skip
    assert len(answers) == 2
    for answer in answers:
        latency = answer.latency
        assert latency is not None
        assert min(latency.T_vision_total, latency.T_LLM_prefill, latency.T_LLM_decode) > 0
        assert latency.T_total > latency.T_vision_total
        assert latency.new_tokens <= 2


def test_settings_turn_the_knobs() -> None:
    source = tierexp.load_model("tiny", device="cpu", top_k=1, num_active_blocks=2).source
    assert source.knob_values["top_k"] == 1
    assert source.knob_values["num_active_blocks"] == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nobody",), "nobody"),
        (("none",), "none"),
        (("tiny", {"top_k": 99}), "top_k=99"),
        (("tiny", {"nope": 1}), "nope"),
        (("tiny", {"device": "abacus"}), "abacus"),
    ],
)
def test_mistakes_are_one_line(arguments: tuple, words: str) -> None:
    name, *settings = arguments
    with pytest.raises(TierexpError) as caught:
        tierexp.load_model(name, **(settings[0] if settings else {}))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_asked_is_refused(model: Model, tmp_path: Path) -> None:
    with pytest.raises(TierexpError, match="2 images and 1 questions"):
        model.answer([QUESTIONS.image(0)] * 2, ["What?"])
    with pytest.raises(TierexpError, match="tier"):
        model.answer(QUESTIONS.image(0), "What?", tier="lowest")
    for empty in ("", " \n", None):
        with pytest.raises(ConfigError, match=r"^question=.*a text that asks something"):
            model.answer([QUESTIONS.image(0)] * 2, ["What?", empty], tier="low")
    (tmp_path / "no.png").write_text("no picture")
    with pytest.raises((ImageDecodeError, TierexpError), match=r"no\.png|sample 0"):
        model.answer(tmp_path / "no.png", "What?")


@pytest.mark.parametrize("latency", [False, True])
def test_a_question_that_a_server_does_not_answer_is_said(model: Model, latency: bool) -> None:
    class Server:
        def generate(self, inputs, max_new_tokens, *, observer=None, **_):
            if latency:
                raise UnansweredError("the server is busy")
            observer.answered([AnswerFacts(failure="the server is busy")])
            return inputs.input_ids.new_zeros(1, 1)

    asked = Model(model.source, Server(), model.device)
    with pytest.raises(TierexpError, match="question 0: the server is busy"):
        asked.answer(QUESTIONS.image(0), "What?", tier="low", latency=latency)


@pytest.mark.whole
def test_evaluate_gives_a_table_on_wish(tmp_path: Path) -> None:
    frame = tierexp.evaluate(
        "data.max_samples=2", "logger=none", "data.num_workers=0", tier="low", as_frame=True,
        output_dir=tmp_path / "a",
    )  # fmt: skip
    assert len(frame) == 2
    assert {"prediction", "accuracy", "llm_vision_tokens"} <= {*frame.columns}
    with pytest.raises(TierexpError, match="one configuration"):
        tierexp.evaluate("-m", "tier=low,high")
    with pytest.raises(TierexpError, match="teir"):
        tierexp.evaluate("teir=low")
    with pytest.raises(TierexpError, match=r"model=.*none.* is not possible"):
        tierexp.evaluate("model=none", output_dir=tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_importing_it_imports_no_torch() -> None:
    import subprocess
    import sys

    code = "import sys, tierexp; sys.exit(bool({'torch', 'lightning', 'hydra'} & {*sys.modules}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
