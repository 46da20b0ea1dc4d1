"""lmms-eval's tasks at a tier: its evaluator and `eval.py` agree on every answer and score; what
cannot be answered is one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import tierexp
from tests.support import random_checkpoints
from tests.support.command_line import TESTS, run_eval
from tests.support.fakes import TableSource
from tierexp.data.hub.prompt import Prompt
from tierexp.data.tierqa.dataset import TierQA
from tierexp.data.tierqa.questions import PER_PICTURE
from tierexp.errors import ConfigError, DataError, ImageDecodeError, TierexpError
from tierexp.imaging.preprocessing import Preprocessing
from tierexp.integrations.lmms_eval.answering import answer_questions
from tierexp.integrations.lmms_eval.arguments import (
    AnsweringSetup,
    compose_arguments,
    read_arguments,
    split_arguments,
)
from tierexp.integrations.lmms_eval.questions import LmmsEvalQuestions, read_request
from tierexp.integrations.lmms_eval.results import claimed, task_metrics
from tierexp.models.confidence import AnswerFacts
from tierexp.models.molmo.prompt_format import molmo_prompt
from tierexp.models.molmo2.prompt_format import molmo2_prompt
from tierexp.results.files import load_results
from tierexp.tiers.files import load_tier
from tierexp.tiers.tier import Tier

NO_PROMPT = Prompt()


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", []),
        ("tier=low,model.top_k=1", ["tier=low", "model.top_k=1"]),
        ("tier.preferred_crops=[4,6], tier=high,", ["tier.preferred_crops=[4,6]", "tier=high"]),
        ("data.prompt.drop=['a, b'],tier=low", ["data.prompt.drop=['a, b']", "tier=low"]),
        ('a={b:1,c:[2,3]},d="e,\'f"', ["a={b:1,c:[2,3]}", 'd="e,\'f"']),
    ],
)
def test_arguments_are_split_at_commas_outside_brackets_and_quotes(
    text: str, parts: list[str]
) -> None:
    assert split_arguments(text) == parts


def test_arguments_set_every_knob() -> None:
    setup = read_arguments(
        "tier=high,tier.max_crops=16,threshold=strict,resize=letterbox,model.top_k=1,"
        "model.num_active_blocks=3,model.dtype=bfloat16,data.prompt.open=vqa2,output_dir=/tmp/o",
        {"batch_size": 4, "device": None, "max_batch_size": None},
    )
    assert isinstance(setup.preprocessing.tier, Tier)
    assert (setup.preprocessing.tier.name, setup.preprocessing.tier.max_crops) == ("high", 16)
    assert setup.preprocessing.threshold.value == 0
    assert setup.preprocessing.resize.crops == "letterbox"
    assert setup.prompt.open == "vqa2"
    assert (setup.batch_size, setup.num_workers) == (4, 0)
    model: Any = setup.source
    assert model.knob_values == {"top_k": 1, "num_active_blocks": 3}
    assert model.dtype == "bfloat16"
    assert setup.output_dir == Path("/tmp/o")


def test_a_batch_size_in_the_arguments_counts_more_than_beside_them() -> None:
    assert read_arguments("data.batch_size=3", {"batch_size": "2"}).batch_size == 3


@pytest.mark.parametrize(
    ("text", "beside", "words"),
    [
        ("tier=lo", {}, ["tier='lo'", "low, medium"]),
        ("tier.min_crops=9", {}, ["tier.min_crops=9", "at most tier.max_crops (8)"]),
        ("tiers=low", {}, ["tiers='low'", "no such key", "did you mean tier?"]),
        ("tier.min_crop=2", {}, ["tier.min_crop=2", "did you mean min_crops?"]),
        ("+model.beams=2", {}, ["model.beams=2", "no such key"]),
        ("tier=low,medium", {}, ["'medium' is not an override"]),
        ("data=tierqa", {}, ["data='tierqa'", "--tasks are the data"]),
        ("data.max_samples=3", {}, ["data.max_samples=3", "no such key"]),
        ("+data.path=x", {}, ["data.path='x'", "no such key"]),
        ("latency=on", {}, ["latency='on'", "no such key"]),
        ("model=none", {}, ["model='none'", "a model that answers"]),
        ("data.batch_size=0", {}, ["data.batch_size=0", "from 1 to 4096"]),
        ("data.prompt.open=3", {}, ["data.prompt.open=3", "text"]),
        ("", {"batch_size": "auto"}, ["batch_size='auto'", "whole number"]),
        ("", {"max_batch_size": 8}, ["max_batch_size=8", "left out"]),
        ("", {"device": "cuda:0"}, ["device='cuda:0'", "trainer=gpu in --model_args"]),
    ],
)
def test_what_cannot_work_is_one_line(
    text: str, beside: Mapping[str, object], words: list[str]
) -> None:
    with pytest.raises(TierexpError) as caught:
        read_arguments(text, beside)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_several_processes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(TierexpError, match="WORLD_SIZE='2'"):
        read_arguments("", {})


def grey(height: int, width: int, value: int = 128) -> Image.Image:
    return Image.new("RGB", (width, height), (value, value, value))


def request(
    text: object = "Which?", number: int = 0, task: str = "t", show: Any = None, **settings: Any
) -> Any:
    """A request about document `number` of `task`; its image is that of the document."""
    show = show or (lambda document: [document["image"]])
    return SimpleNamespace(args=(text, settings, show, number, task, "test"))


@pytest.mark.parametrize(
    ("until", "generated", "answer"),
    [
        (None, " a b\n\nc ", "a b\n\nc"),
        ("b", "a b c", "a"),
        (["c", "b"], "a b c", "a"),
        (["x"], "a b c", "a b c"),
        ([""], "a b c", "a b c"),
        ([], "a b c", "a b c"),
        (["a"], "a b c", ""),
    ],
)
def test_an_answer_ends_before_the_first_stop(until: Any, generated: str, answer: str) -> None:
    assert read_request(request(until=until), NO_PROMPT).answer(generated) == answer


def test_a_question_is_put_in_the_models_style() -> None:
    prompt = Prompt("vqa2", "a_okvqa_mc", drop=("\nAnswer in a word.",))
    listed = "Why? \nA. x\nB. y"
    for put, open_style, choice in (
        (molmo_prompt, "vqa2: ", "a_okvqa_mc: "),
        (molmo2_prompt, "vqa2: ", ""),
    ):
        text = read_request(request("Why?\nAnswer in a word."), prompt, put).text
        assert text == f"{open_style}Why?"
        assert read_request(request(listed), prompt, put).text == f"{choice}{listed}"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"do_sample": True}, "at random"),
        ({"do_sample": True, "temperature": 0.7}, "at random"),
        ({"temperature": 0.2}, "at random"),
        ({"num_beams": 4}, "4 beams"),
        ({"max_new_tokens": 0}, "max_new_tokens=0"),
        ({"max_new_tokens": "many"}, "max_new_tokens='many'"),
    ],
)
def test_only_one_greedy_answer_is_given(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=f"task t, document 0.*{words}"):
        read_request(request(**settings), NO_PROMPT)


@pytest.mark.parametrize(
    "settings",
    [
        {"do_sample": False, "temperature": 0.2, "top_p": 1.0, "num_beams": 1},
        {"do_sample": True, "temperature": 0},
        {"temperature": 0.0, "image_aspect_ratio": "original"},
    ],
)
def test_greedy_however_it_is_said(settings: dict[str, Any]) -> None:
    assert read_request(request(**settings), NO_PROMPT).text == "Which?"


def test_a_conversation_is_refused() -> None:
    with pytest.raises(DataError, match="a question is a text here, not list"):
        read_request(request([{"role": "user"}]), NO_PROMPT)


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        ([], "no image"),
        (None, "no image"),
        ([None], "no image"),
        ([grey(2, 2), grey(2, 2)], "2 images"),
        (["film.mp4"], "shows a str, such as a video or a path"),
        ({"array": [0.0]}, "shows a dict"),
    ],
)
def test_a_question_is_about_one_image(shown: Any, words: str) -> None:
    question = read_request(request(show=lambda _: shown), NO_PROMPT)
    dataset = LmmsEvalQuestions([question], {"t": {"test": [{}]}})
    with pytest.raises(DataError, match=f"task t, document 0 .*{words}"):
        dataset.image_size(0)


def test_an_image_that_cannot_be_decoded() -> None:
    def show(document: Any) -> Any:
        raise OSError("image file is truncated")

    dataset = LmmsEvalQuestions(
        [read_request(request(show=show), NO_PROMPT)], {"t": {"test": [{}]}}
    )
    with pytest.raises(ImageDecodeError, match="truncated"):
        dataset.image_size(0)


def setup(folder: Path, table: dict[str, str]) -> AnsweringSetup:
    (folder / "table.json").write_text(json.dumps(table))
    source: Any = TableSource(str(folder / "table.json"), max_new_tokens=3)
    preprocessing = Preprocessing(load_tier("medium"), geometry=source.geometry)
    composed = compose_arguments([])
    return AnsweringSetup(preprocessing, source, NO_PROMPT, 2, 0, folder, False, composed)


def test_answers_come_in_the_order_of_the_questions(tmp_path: Path) -> None:
    """Whatever their tiling, and each as long as its own task allows."""
    table = {"q0": "zero", "q1": "one two", "q2": "two", "q3": "threefold"}
    sizes = [(480, 640), (1500, 300), (480, 640), (640, 480)]
    documents = {"t": {"test": [{"image": grey(*size)} for size in sizes]}}
    questions = [
        read_request(request("q0", 0, max_new_tokens=2), NO_PROMPT),
        read_request(request("q1", 1, until=[" "], max_new_tokens=9), NO_PROMPT),
        read_request(request("q2", 2), NO_PROMPT),  # as long as the model's setting, 3
        read_request(request("q3", 3), NO_PROMPT),
    ]
    settings = setup(tmp_path, table)
    cpu = torch.device("cpu")
    answered = answer_questions(
        settings, questions, documents, cpu, lambda: settings.source.load(cpu)
    )
    assert [answer.text for answer in answered] == ["ze", "one", "two", "thr"]
    assert [answer.prepared.image_size for answer in answered] == sizes
    (figures,) = task_metrics([answered[0], answered[2]]).values()
    # 640 x 480 at the medium tier: 2 x 3 crops, 3/2 against 528/368.
    assert figures.selected_crops_distribution == {6: 2}
    assert figures.aggregates["selected_vision_tokens_mean"] == 7 * 144
    mismatch = figures.aggregates["aspect_ratio_mismatch_mean"]
    assert mismatch == pytest.approx(abs(3 / 2 - 528 / 368))


@pytest.mark.whole
def test_answers_and_metrics_are_those_of_an_evaluation(tmp_path: Path) -> None:
    """Seven questions about a picture, put as lmms-eval puts them and by eval.py from a file."""
    benchmark = TierQA(split="test", max_samples=PER_PICTURE)
    picture = Image.fromarray(np.asarray(benchmark.image(0)))
    picture.save(tmp_path / "0.png")
    asked = [benchmark[index] for index in range(len(benchmark))]
    lines = [
        {"id": one.sample_id, "image": "0.png", "question": one.question, "answers": one.answers}
        for one in asked
    ]
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, lines)))
    outcome = run_eval(
        "tier=low", "model.top_k=1", "trainer=cpu", "data=folder", "logger=none",
        f"data.path={tmp_path / 'data.jsonl'}", f"output_dir={tmp_path / 'ours'}",
    )  # fmt: skip
    assert (outcome.code, outcome.err) == (0, "")
    (file,) = (tmp_path / "ours").glob("*_tier-low_*.json")
    ours = load_results(file)

    text = "tier=low,model.top_k=1,trainer=cpu,data.num_workers=0"
    settings, cpu = read_arguments(text, {}), torch.device("cpu")
    questions = [
        read_request(request(one.question, n, until=["\n"], max_new_tokens=16), NO_PROMPT)
        for n, one in enumerate(asked)
    ]
    documents = {"t": {"test": [{"image": picture}] * len(asked)}}
    answered = answer_questions(
        settings, questions, documents, cpu, lambda: settings.source.load(cpu)
    )
    predictions = [sample.prediction for sample in ours.per_sample_results]
    assert [answer.text for answer in answered] == predictions
    (metrics,) = task_metrics(answered).values()
    assert metrics.num_samples == ours.num_samples == PER_PICTURE
    assert metrics.selected_crops_distribution == ours.selected_crops_distribution
    for name, value in metrics.aggregates.items():
        assert value == pytest.approx(ours.aggregates[name]), name


@pytest.mark.whole
def test_a_family_answers_as_it_does_from_python(tmp_path: Path) -> None:
    """On the grid of its own that the tier selects; a tier that it has none in is one line."""
    random_checkpoints.internvl3_5(tmp_path / "it")
    arguments = f"model=transformers,model.checkpoint={tmp_path / 'it'},model.max_new_tokens=4"
    with pytest.raises(TierexpError, match="tier='low' is not possible: internvl has no grid"):
        read_arguments(f"{arguments},tier=low", {})
    settings, cpu = read_arguments(f"{arguments},tier=medium", {}), torch.device("cpu")
    pictures = [grey(300, 600), grey(480, 640)]
    documents = {"t": {"test": [{"image": picture} for picture in pictures]}}
    questions = [read_request(request(f"what is {n}?", n), NO_PROMPT) for n in (0, 1)]
    answered = answer_questions(
        settings, questions, documents, cpu, lambda: settings.source.load(cpu)
    )
    model = tierexp.load_model(tmp_path / "it", device="cpu", max_new_tokens=4)
    asked: list[Any] = list(pictures)
    alike = model.answer(asked, ["what is 0?", "what is 1?"], tier="medium", batch_size=1)
    assert [answer.text for answer in answered] == [answer.text.strip() for answer in alike]
    read = [answer.prepared.measured.llm_vision_tokens for answer in answered]
    assert read == [answer.llm_vision_tokens for answer in alike] == [768, 1280]


def test_a_question_that_a_server_does_not_answer_is_said(tmp_path: Path) -> None:
    class Server:
        def generate(self, inputs: Any, limit: int, *, observer: Any) -> torch.Tensor:
            observer.answered([AnswerFacts(failure="the server is busy")])
            return torch.zeros(1, limit, dtype=torch.long)

    server: Any = Server()
    documents = {"t": {"test": [{"image": grey(4, 4)}]}}
    with pytest.raises(DataError, match="task t, document 0: the server is busy"):
        answer_questions(
            setup(tmp_path, {}), [read_request(request(), NO_PROMPT)], documents,
            torch.device("cpu"), lambda: server,
        )  # fmt: skip


def test_nothing_is_loaded_before_every_image_has_been_seen(tmp_path: Path) -> None:
    def load() -> Any:
        raise AssertionError("the weights were read")

    documents = {"t": {"test": [{"image": grey(48, 64)}, {"image": None}]}}
    questions = [read_request(request("q", number), NO_PROMPT) for number in (0, 1)]
    with pytest.raises(DataError, match="document 1 has no image"):
        answer_questions(setup(tmp_path, {}), questions, documents, torch.device("cpu"), load)


@pytest.mark.whole
def test_figures_of_an_earlier_run_stay_unless_they_may_go(tmp_path: Path) -> None:
    file = tmp_path / "lmms_eval.json"
    with claimed(tmp_path, overwrite=False):
        file.write_text("{}")  # the run's own, which it writes after every task
    with (
        pytest.raises(ConfigError, match=r"lmms_eval\.json; overwrite=true replaces"),
        claimed(tmp_path, overwrite=False),
    ):
        raise AssertionError("the folder was handed out")
    assert file.read_text() == "{}"
    with claimed(tmp_path, overwrite=True):
        theirs = (
            "import sys; from pathlib import Path; from tierexp.config.refusal import refusing\n"
            + (
                "from tierexp.integrations.lmms_eval.results import claimed\n"
                "with refusing(), claimed(Path(sys.argv[1]), overwrite=True): print('in')"
            )
        )
        second = subprocess.run(
            [sys.executable, "-c", theirs, str(tmp_path)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert (second.returncode, second.stdout) == (2, "")
    assert f"another run (process {os.getpid()} on " in second.stderr
    assert second.stderr.count("\n") == 1
    assert not read_arguments("", {}).overwrite
    assert read_arguments("overwrite=true", {}).overwrite


needs_lmms_eval = pytest.mark.skipif(find_spec("lmms_eval") is None, reason="no lmms-eval")


@needs_lmms_eval
def test_lmms_eval_finds_the_model() -> None:
    (found,) = [
        entry for entry in entry_points(group="lmms_eval.models") if entry.name == "tierexp"
    ]
    assert found.value == "tierexp.integrations.lmms_eval.manifest:manifest"


TASK = """
task: {name}
dataset_path: parquet
dataset_kwargs:
  data_files: {{test: {folder}/data.parquet}}
  cache_dir: {folder}/cache
test_split: test
doc_to_visual: {visual}
doc_to_text: question
doc_to_target: answer
"""
GENERATES = """
output_type: generate_until
generation_kwargs: {max_new_tokens: 16, until: ["\\n"]}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true, ignore_case: true}
"""
CHOOSES = """
output_type: multiple_choice
doc_to_choice: ["yes", "no"]
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
"""


@pytest.mark.slow
@needs_lmms_eval
def test_its_evaluator_and_eval_agree(tmp_path: Path) -> None:
    """Fourteen questions about two pictures, put by lmms-eval from parquet and by eval.py from
    files: the same answers, scores and figures."""
    import datasets

    benchmark = TierQA(split="test", max_samples=2 * PER_PICTURE)
    rows, lines = [], []
    for index in range(len(benchmark)):
        sample = benchmark[index]
        file = tmp_path / f"{index // PER_PICTURE}.png"
        Image.fromarray(np.asarray(benchmark.image(index))).save(file)
        fields = {"id": sample.sample_id, "question": sample.question}
        rows.append(fields | {"image": str(file), "answer": sample.answers[0]})
        lines.append(json.dumps(fields | {"image": file.name, "answers": sample.answers}))
    (tmp_path / "data.jsonl").write_text("\n".join(lines))
    table = datasets.Dataset.from_list(rows).cast_column("image", datasets.Image())
    table.to_parquet(str(tmp_path / "data.parquet"))
    for name, visual, kind in (
        ("asks", "image", GENERATES),
        ("chooses", "image", CHOOSES),
        ("text_only", "null", GENERATES),
    ):
        text = TASK.format(name=name, folder=tmp_path, visual=visual) + kind
        (tmp_path / f"{name}.yaml").write_text(text)

    arguments = ["tier=low", "model.top_k=1", "trainer=cpu", "overwrite=true"]
    subprocess.run(
        [
            sys.executable, "-m", "tests.support.lmms_eval_run", str(tmp_path),
            ",".join([*arguments, f"output_dir={tmp_path / 'theirs'}"]),
            "asks", "chooses", "text_only",
        ],
        check=True, cwd=TESTS.parent, capture_output=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"},
    )  # fmt: skip
    outcome = run_eval(
        *arguments, "data=folder", f"data.path={tmp_path / 'data.jsonl'}", "logger=none",
        f"output_dir={tmp_path / 'ours'}",
    )  # fmt: skip
    assert outcome.code == 0
    (file,) = (tmp_path / "ours").glob("*_tier-low_*.json")
    ours = load_results(file)
    outcomes = json.loads((tmp_path / "outcomes.json").read_text())

    asked = outcomes["asks"]
    assert (asked["code"], len(asked["answers"])) == (0, len(benchmark))
    assert asked["answers"] == [sample.prediction for sample in ours.per_sample_results]
    assert asked["scores"]["exact_match,none"] == pytest.approx(ours.accuracy)
    assert "asks" in asked["out"]
    theirs = json.loads((tmp_path / "theirs" / "lmms_eval.json").read_text())
    for name, figure in theirs["tasks"]["asks"].items():
        expected = getattr(ours, name)
        if name == "selected_crops_distribution":
            expected = {str(crops): count for crops, count in expected.items()}
        assert figure == pytest.approx(expected), name
    assert theirs["top_k"] == 1
    assert theirs["provenance"]["config"]["tier"]["name"] == "low"

    for name, words in (
        ("chooses", "error: task chooses asks for likelihoods of given answers"),
        ("text_only", "error: task text_only, document 0 has no image"),
    ):
        refused = outcomes[name]
        assert (refused["code"], refused["scores"]) == (2, None)
        assert words in refused["err"].splitlines()[-1]
