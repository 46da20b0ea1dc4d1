"""The shipped benchmarks against small tables in the column layout that each is published with."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import pytest
from datasets import ClassLabel, Features, Image, List, Value
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from tests.support.hub_tables import picture
from tierexp.api.composition import composed
from tierexp.config.build import build
from tierexp.config.location import config_dir
from tierexp.data.hub import HubDataset
from tierexp.data.loader_settings import LoaderSettings
from tierexp.data.sample import Sample
from tierexp.evaluation.setup import read_setup
from tierexp.models.molmo.prompt_format import molmo_prompt
from tierexp.models.molmo2.prompt_format import molmo2_prompt
from tierexp.models.prompt_format import PromptFormat

TEXT, NUMBER, TEXTS = Value("string"), Value("int64"), List(Value("string"))
TEN = ["net", "net", "a net", "netting", "mesh", "net", "mesh", "net", "mesh", "net"]


@dataclass(frozen=True)
class Layout:
    """One row of a published table, and the sample it has to become."""

    file: str
    features: dict[str, Any]
    row: dict[str, Any]
    question: str
    answers: tuple[str, ...]
    task: str
    sample_id: str
    right: str
    wrong: str
    score: float = 1.0
    options: tuple[str, ...] = ()
    others: dict[str, Any] = field(default_factory=dict)


LAYOUTS = {
    "vqa_v2": Layout(
        "data/validation-00000-of-00001-0a1b2c3d.parquet",
        {
            "question_type": TEXT, "multiple_choice_answer": TEXT,
            "answers": List({"answer": TEXT, "answer_confidence": TEXT, "answer_id": NUMBER}),
            "image_id": NUMBER, "answer_type": TEXT, "question_id": NUMBER, "question": TEXT,
            "image": Image(),
        },
        {
            "question_type": "what is", "multiple_choice_answer": "net",
            "answers": [
                {"answer": text, "answer_confidence": "yes", "answer_id": number + 1}
                for number, text in enumerate(TEN)
            ],
            "image_id": 262148, "answer_type": "other", "question_id": 262148001,
            "question": "What is behind him?",
        },
        "vqa2: What is behind him?", tuple(TEN), "other", "262148001", "net", "fence",
    ),
    "text_vqa": Layout(
        "data/validation-00000-of-00003.parquet",
        {
            "image_id": TEXT, "question_id": Value("int32"), "question": TEXT,
            "question_tokens": TEXTS, "image": Image(), "image_width": NUMBER,
            "image_height": NUMBER, "answers": TEXTS, "image_classes": TEXTS, "set_name": TEXT,
            "ocr_tokens": TEXTS,
        },
        {
            "image_id": "003a8ae2ef43b901", "question_id": 34602,
            "question": "what is the brand of this camera?", "question_tokens": ["what"],
            "image_width": 1024, "image_height": 664, "answers": ["dakota"] * 9 + ["nous"],
            "image_classes": ["Camera"], "set_name": "val", "ocr_tokens": ["DAKOTA"],
        },
        "text_vqa: what is the brand of this camera?", (*["dakota"] * 9, "nous"), "text_vqa",
        "34602", "Dakota.", "canon",
    ),
    "doc_vqa": Layout(
        "DocVQA/validation-00000-of-00006.parquet",
        {
            "questionId": TEXT, "question": TEXT, "question_types": TEXTS, "image": Image(),
            "docId": NUMBER, "ucsf_document_id": TEXT, "ucsf_document_page_no": TEXT,
            "answers": TEXTS, "data_split": TEXT,
        },
        {
            "questionId": "49153", "question": "What is the actual value per 1000?",
            "question_types": ["figure/diagram"], "docId": 14465, "ucsf_document_id": "pybv0228",
            "ucsf_document_page_no": "81", "answers": ["0.28", ".28"], "data_split": "val",
        },
        "doc_qa: What is the actual value per 1000?", ("0.28", ".28"), "doc_vqa", "49153",
        "0.28", "7",
    ),
    "info_vqa": Layout(
        "InfographicVQA/validation-00000-of-00003.parquet",
        {
            "questionId": TEXT, "question": TEXT, "answers": TEXTS, "answer_type": TEXTS,
            "image": Image(), "image_url": TEXT, "operation/reasoning": TEXTS, "ocr": TEXT,
            "data_split": TEXT,
        },
        {
            "questionId": "98313", "question": "Which platform has heavy female audience?",
            "answers": ["pinterest"], "answer_type": ["single span"], "image_url": "http://x/y",
            "operation/reasoning": [], "ocr": "[]", "data_split": "val",
        },
        "info_qa: Which platform has heavy female audience?", ("pinterest",), "info_vqa", "98313",
        "Pinterest", "facebook",
    ),
    "chart_qa": Layout(
        "data/test-00000-of-00001-e2cd0b7a0f9eb20d.parquet",
        {
            "image": Image(), "query": TEXT, "label": TEXTS,
            "human_or_machine": ClassLabel(names=["human", "machine"]),
        },
        {"query": "How many food items are shown?", "label": ["14"], "human_or_machine": 1},
        "chart_qa: How many food items are shown?", ("14",), "machine", "test-000000", "14.5", "15",
    ),
    "ai2d": Layout(
        "data/test-00000-of-00001.parquet",
        {"question": TEXT, "options": TEXTS, "answer": TEXT, "image": Image()},
        {
            "question": "which of these define dairy item", "options": ["c", "D", "b", "a"],
            "answer": "1",
        },
        "ai2_diagram_no_letter: which of these define dairy item\nC\nD\nB\nA\n", ("D",), "ai2d",
        "test-000000", "D", "B",
    ),
    "okvqa": Layout(
        "data/val2014-00000-of-00002.parquet",
        {
            "question_id": TEXT, "image": Image(), "question": TEXT, "answers": TEXTS,
            "question_type": TEXT, "answer_type": TEXT,
        },
        {
            "question_id": "2971475", "question": "What sport can you use this for?",
            "answers": ["race"] * 4 + ["motocross"] * 2 + ["ride"] * 4, "question_type": "five",
            "answer_type": "other",
        },
        "okvqa: What sport can you use this for?",
        (*["race"] * 4, "motocross", "motocross", *["ride"] * 4), "okvqa", "2971475", "motocross",
        "golf", score=0.6,
    ),
    "a_okvqa": Layout(
        "data/validation-00000-of-00001-b2bd0de231b6326a.parquet",
        {
            "image": Image(), "question_id": TEXT, "question": TEXT, "choices": TEXTS,
            "correct_choice_idx": Value("int8"), "direct_answers": TEXT,
            "difficult_direct_answer": Value("bool"), "rationales": TEXTS,
        },
        {
            "question_id": "22jbM6gDxdaMaunuzgrsBB", "question": "What is in the mouth?",
            "choices": ["toothpick", "food", "popsicle stick", "cigarette"],
            "correct_choice_idx": 3, "direct_answers": "['cigarette', 'cigarette']",
            "difficult_direct_answer": False, "rationales": ["He is smoking."],
        },
        "a_okvqa_mc: What is in the mouth?\n"
        "A: toothpick\nB: food\nC: popsicle stick\nD: cigarette\n",
        ("D", "cigarette"), "a_okvqa", "22jbM6gDxdaMaunuzgrsBB", "D", "A",
        options=("toothpick", "food", "popsicle stick", "cigarette"),
    ),
    "science_qa": Layout(
        "ScienceQA-IMG/test-00000-of-00001-f0e719df791966ff.parquet",
        {
            "image": Image(), "question": TEXT, "choices": TEXTS, "answer": Value("int8"),
            "hint": TEXT, "task": TEXT, "grade": TEXT, "subject": TEXT, "topic": TEXT,
            "category": TEXT, "skill": TEXT, "lecture": TEXT, "solution": TEXT,
        },
        {
            "question": "Is it a cell?", "choices": ["yes", "no"], "answer": 0,
            "hint": "Look closely.", "task": "closed choice", "grade": "grade4",
            "subject": "natural science", "topic": "biology", "category": "Cells",
            "skill": "Identify", "lecture": "", "solution": "",
        },
        "science_qa: Look closely.\nIs it a cell?\nA: yes\nB: no\n", ("A", "yes"),
        "natural science", "test-000000", "a.", "B", options=("yes", "no"),
    ),
    "mme": Layout(
        "data/test-00000-of-00004-a25dbe3b44c4fda6.parquet",
        {"question_id": TEXT, "image": Image(), "question": TEXT, "answer": TEXT, "category": TEXT},
        {
            "question_id": "code_reasoning/0020.png",
            "question": "Is a python code shown? Please answer yes or no.", "answer": "Yes",
            "category": "code_reasoning",
        },
        "vqa2: Is a python code shown? Please answer yes or no.", ("Yes",), "code_reasoning",
        "test-000000", "yes, it is", "no",
    ),
    "real_world_qa": Layout(
        "data/test-00000-of-00002.parquet",
        {"image": Image(), "question": TEXT, "answer": TEXT, "image_path": TEXT},
        {
            "question": "Where does the wheel face?\n\nA. Left\nB. Right\nPlease answer directly "
            "with only the letter of the correct option and nothing else.",
            "answer": "B", "image_path": "0.webp",
        },
        "a_okvqa_mc: Where does the wheel face?\n\nA. Left\nB. Right\nPlease answer directly "
        "with only the letter of the correct option and nothing else.", ("B",), "real_world_qa",
        "test-000000", "B", "A", options=("Left", "Right"),
    ),
    "count_bench": Layout(
        "data/test-00000-of-00001.parquet",
        {"image": Image(), "text": TEXT, "question": TEXT, "number": NUMBER},
        {"text": "Ten stickers", "question": "How many stickers are there?", "number": 10},
        "vqa2: How many stickers are there?", ("10",), "count_bench", "test-000000", "ten", "9",
    ),
}  # fmt: skip
MMMU_FEATURES = {
    "id": TEXT, "question": TEXT, "options": TEXT, "explanation": TEXT,
    **{f"image_{number}": Image() for number in range(1, 8)},
    "img_type": TEXT, "answer": TEXT, "topic_difficulty": TEXT, "question_type": TEXT,
    "subfield": TEXT,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("cache")))


def write(file: Path, features: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    datasets.Dataset.from_list(rows, features=Features(features)).to_parquet(file)


def opened(option: str, *overrides: str, prompt_format: PromptFormat = molmo_prompt) -> HubDataset:
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        config = compose("eval", [f"data={option}", *overrides])
    loader = list(LoaderSettings.__dataclass_fields__)
    dataset = build(config, "data", leave_out=loader, prompt_format=prompt_format)
    assert isinstance(dataset, HubDataset)
    return dataset


@pytest.mark.parametrize("option", LAYOUTS)
def test_a_published_row_becomes_a_sample(tmp_path: Path, option: str) -> None:
    layout = LAYOUTS[option]
    rows = [layout.row | {"image": picture()}]
    if option == "mme":
        rows.append(rows[0] | {"question": "Is it C? Please answer yes or no.", "answer": "No"})
    write(tmp_path / layout.file, layout.features, rows)
    dataset = opened(option, f"data.path={tmp_path}")
    assert dataset.name == option
    sample = dataset[0]
    assert sample.question == layout.question
    assert sample.answers == layout.answers
    assert (sample.task, sample.sample_id) == (layout.task, layout.sample_id)
    assert sample.options == layout.options
    score = dataset.score
    assert score(layout.right, sample.answers, sample.options) == pytest.approx(layout.score)
    assert score(layout.wrong, sample.answers, sample.options) == 0.0
    assert dataset.image_size(0) == (4, 6)
    assert dataset.image(0)[0, 0].tolist() == [255, 0, 0]
    if option == "mme":
        assert dataset.image_key(0) == dataset.image_key(1) == "code_reasoning/0020.png"


def test_coco_2014_vqa_is_a_fixed_part_of_vqa_v2(tmp_path: Path) -> None:
    layout = LAYOUTS["vqa_v2"]
    rows = [layout.row | {"image": picture(), "question_id": number} for number in range(5)]
    write(tmp_path / layout.file, layout.features, rows)
    dataset = opened("coco_2014_vqa", f"data.path={tmp_path}")
    assert (dataset.name, len(dataset)) == ("coco_2014_vqa", 5)
    assert dataset[0].question == layout.question


def test_mmmu_joins_its_subjects_and_reads_options_written_as_text(tmp_path: Path) -> None:
    rows = {
        "Accounting": {
            "question": "<image 1> Which?", "options": "['$6', \"$7's\", '$8']", "answer": "B",
            "question_type": "multiple-choice",
        },
        "Art": {
            "question": "How many?", "options": "[]", "answer": "['6', 'six']",
            "question_type": "open",
        },
    }  # fmt: skip
    for subject, row in rows.items():
        full = dict.fromkeys(MMMU_FEATURES) | row | {"id": f"validation_{subject}_1"}
        full["image_1"] = picture()
        if subject == "Art":
            full["image_2"] = picture(9, 9)
        file = tmp_path / subject / "validation-00000-of-00001.parquet"
        write(file, MMMU_FEATURES, [full])
    dataset = opened("mmmu", f"data.path={tmp_path}", "data.config=[Accounting,Art]")
    assert [dataset[i].sample_id for i in range(2)] == [
        "validation_Accounting_1", "validation_Art_1",
    ]  # fmt: skip
    assert dataset[0].question == "a_okvqa_mc: <image 1> Which?\nA: $6\nB: $7's\nC: $8\n"
    assert dataset[0].answers == ("B", "$7's")
    assert dataset[1].question == "vqa2: How many?"
    assert dataset[1].answers == ("6", "six")
    assert [dataset[i].task for i in range(2)] == ["multiple-choice", "open"]
    assert [dataset.image_size(i) for i in range(2)] == [(4, 6), (4, 6)]


@pytest.mark.parametrize(
    ("option", "question"),
    [
        ("vqa_v2", "vqa2: What is behind him?"),
        ("doc_vqa", "doc_qa: What is the actual value per 1000?"),
        (
            "a_okvqa",
            "What is in the mouth?\nOnly return the correct answer option.\n"
            "A. toothpick\nB. food\nC. popsicle stick\nD. cigarette",
        ),
        (
            "science_qa",
            "Look closely.\nIs it a cell?\nOnly return the correct answer option.\nA. yes\nB. no",
        ),
        (
            "ai2d",
            "which of these define dairy item\nOnly return the correct answer option.\nC\nD\nB\nA",
        ),
        (
            "real_world_qa",
            "Where does the wheel face?\n\nA. Left\nB. Right\nPlease answer directly with only "
            "the letter of the correct option and nothing else.",
        ),
    ],
)
def test_molmo2_is_asked_as_it_was_trained(tmp_path: Path, option: str, question: str) -> None:
    layout = LAYOUTS[option]
    write(tmp_path / layout.file, layout.features, [layout.row | {"image": picture()}])
    dataset = opened(option, f"data.path={tmp_path}", prompt_format=molmo2_prompt)
    assert dataset[0].question == question
    assert dataset.score("D. D" if option == "ai2d" else layout.right, dataset[0].answers)


def test_a_run_asks_as_its_model_was_trained(tmp_path: Path) -> None:
    layout = LAYOUTS["a_okvqa"]
    write(tmp_path / layout.file, layout.features, [layout.row | {"image": picture()}])
    with composed("eval", ["data=a_okvqa", f"data.path={tmp_path}", "model=tiny"]) as config:
        setup = read_setup(config)
    assert setup.dataset[0].question == layout.question


def ai2d(folder: Path, options: list[str], right: int) -> tuple[Sample, HubDataset]:
    layout = LAYOUTS["ai2d"]
    row = layout.row | {"options": options, "answer": str(right), "image": picture()}
    write(folder / layout.file, layout.features, [row])
    dataset = opened("ai2d", f"data.path={folder}")
    return dataset[0], dataset


def test_ai2d_lists_letters_without_letters_where_all_but_one_are(tmp_path: Path) -> None:
    sample, dataset = ai2d(tmp_path / "3 of 4", ["a", "none", "F", "c"], 0)
    assert sample.question.startswith("ai2_diagram_no_letter: ")
    assert sample.question.endswith("\nA\nnone\nF\nC\n")
    assert (sample.answers, sample.options) == (("A",), ())
    assert dataset.score("The answer is A.", sample.answers, sample.options) == 1.0
    assert dataset.score("C", sample.answers, sample.options) == 0.0
    sample, dataset = ai2d(tmp_path / "text right", ["a", "none", "F", "c"], 1)
    assert sample.answers == ("none",)
    assert dataset.score("None", sample.answers, sample.options) == 1.0
    sample, dataset = ai2d(tmp_path / "2 of 4", ["a", "none", "leaf", "c"], 3)
    assert sample.question.endswith("\nA: a\nB: none\nC: leaf\nD: c\n")
    assert sample.answers == ("D",)
    assert dataset.score("C", sample.answers, sample.options) == 0.0
    assert dataset.score("D: c", sample.answers, sample.options) == 1.0


def test_ai2d_leaves_out_what_molmo_leaves_out(tmp_path: Path) -> None:
    sample, _ = ai2d(tmp_path, ["leaf", "{}", "leaf", "stem"], 3)
    assert sample.question.endswith("\nA: leaf\nB: stem\n")
    assert sample.answers == ("B", "stem")
    sample, _ = ai2d(tmp_path / "second of equals", ["leaf", "{}", "leaf", "stem"], 2)
    assert sample.answers == ("A", "leaf")


@pytest.mark.parametrize("option", ["a_okvqa", "science_qa"])
def test_one_option_that_is_a_letter_leaves_the_others_theirs(tmp_path: Path, option: str) -> None:
    layout = LAYOUTS[option]
    place = "correct_choice_idx" if option == "a_okvqa" else "answer"
    row = layout.row | {"choices": ["L sin", "L cos", "L", "L tan"], "image": picture()}
    rows = [row | {place: 0}, row | {place: 2}]
    if option == "a_okvqa":
        rows[1]["question_id"] = "another"
    write(tmp_path / layout.file, layout.features, rows)
    first, third = (dataset := opened(option, f"data.path={tmp_path}"))[0], dataset[1]
    assert first.question.endswith("\nA: L sin\nB: L cos\nC: L\nD: L tan\n")
    assert (first.answers, third.answers) == (("A", "L sin"), ("C",))
    for sample, letter in ((first, "A"), (third, "C")):
        assert dataset.score(letter, sample.answers, sample.options) == 1.0
        assert dataset.score(f"**{letter}**", sample.answers, sample.options) == 1.0
        assert dataset.score("B", sample.answers, sample.options) == 0.0


def test_options_that_are_the_letters_of_others_are_answered_by_their_own(tmp_path: Path) -> None:
    row = LAYOUTS["a_okvqa"].row | {"choices": ["B", "A"], "correct_choice_idx": 0}
    write(
        tmp_path / LAYOUTS["a_okvqa"].file,
        LAYOUTS["a_okvqa"].features,
        [row | {"image": picture()}],
    )
    sample = (dataset := opened("a_okvqa", f"data.path={tmp_path}"))[0]
    assert dataset.score("A", sample.answers, sample.options) == 1.0
    assert dataset.score("B", sample.answers, sample.options) == 0.0


def test_empty_and_equal_options_are_listed_as_they_are(tmp_path: Path) -> None:
    row = LAYOUTS["a_okvqa"].row | {"choices": ["cat", "", "cat"], "correct_choice_idx": 1}
    write(
        tmp_path / LAYOUTS["a_okvqa"].file,
        LAYOUTS["a_okvqa"].features,
        [row | {"image": picture()}],
    )
    sample = (dataset := opened("a_okvqa", f"data.path={tmp_path}"))[0]
    assert sample.question.endswith("\nA: cat\nB: \nC: cat\n")
    assert sample.answers == ("B",)
    assert dataset.score("B", sample.answers, sample.options) == 1.0
    assert dataset.score("", sample.answers, sample.options) == 0.0
    assert dataset.score("cat", sample.answers, sample.options) == 0.0


def test_short_answers_of_real_world_qa_end_with_their_first_line(tmp_path: Path) -> None:
    layout = LAYOUTS["real_world_qa"]
    row = {
        "question": "How many lanes are there? \nPlease answer directly with a single word or "
        "number.",
        "answer": "2", "image_path": "1.webp", "image": picture(),
    }  # fmt: skip
    write(tmp_path / layout.file, layout.features, [row])
    sample = (dataset := opened("real_world_qa", f"data.path={tmp_path}"))[0]
    assert sample.question == "vqa2: How many lanes are there? "
    assert dataset.score("Two.", sample.answers, sample.options) == 1.0
    assert dataset.score("3", sample.answers, sample.options) == 0.0


def test_every_blank_of_a_question_is_asked(tmp_path: Path) -> None:
    layout = LAYOUTS["vqa_v2"]
    row = layout.row | {"question": " What is this?  ", "image": picture()}
    write(tmp_path / layout.file, layout.features, [row])
    assert opened("vqa_v2", f"data.path={tmp_path}")[0].question == "vqa2:  What is this?  "
    layout = LAYOUTS["science_qa"]
    row = layout.row | {"question": "Which? ", "hint": "See. ", "image": picture()}
    write(tmp_path / "s" / layout.file, layout.features, [row])
    asked = opened("science_qa", f"data.path={tmp_path / 's'}")[0].question
    assert asked == "science_qa: See. \nWhich? \nA: yes\nB: no\n"


def test_the_papers_figure_of_vqa_can_be_had(tmp_path: Path) -> None:
    layout = LAYOUTS["vqa_v2"]
    write(tmp_path / layout.file, layout.features, [layout.row | {"image": picture()}])
    for score, value in (("vqa", 0.9), ("vqa_thirds", 1.0)):
        dataset = opened("vqa_v2", f"data.path={tmp_path}", f"data.score={score}")
        assert dataset.score("mesh", dataset[0].answers) == pytest.approx(value)


def test_every_shipped_benchmark_is_here() -> None:
    of_hub = {
        path.stem
        for path in (config_dir() / "data").glob("*.yaml")
        if "defaults" in OmegaConf.load(path)
    }
    assert of_hub == {*LAYOUTS, "mmmu", "coco_2014_vqa"}
