"""Reading tables of questions: where they lie, what is wrong with them, and which rows are kept."""

from __future__ import annotations

import builtins
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import pytest

from tests.support.command_line import TESTS, run_eval
from tests.support.hub_tables import COLUMNS, picture, rows, table
from tierexp.data.hub import HubDataset
from tierexp.data.scores.mme import MmeTotals
from tierexp.errors import ConfigError, DataError, ImageDecodeError
from tierexp.results.files import load_results

# By `printf 0:0 | sha256sum` to 0:4, and 1:0 to 1:4: the two smallest of each.
SUBSET_0, SUBSET_1 = ["q3", "q4"], ["q2", "q4"]


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("cache")))


def opened(path: Path, **settings: Any) -> HubDataset:
    return HubDataset(**{"columns": COLUMNS, "split": "test", "path": path, **settings})


def refusal(path: Path | None, **settings: Any) -> str:
    with pytest.raises((ConfigError, DataError)) as caught:
        opened(path, **settings)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def ids(dataset: HubDataset) -> list[str]:
    return [dataset[index].sample_id for index in range(len(dataset))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files of one split and a file of another, as they lie on the hub."""
    place = tmp_path / "my_set" / "data"
    place.mkdir(parents=True)
    whole = table(5)
    whole.select(range(3)).to_parquet(place / "test-00000-of-00002-0a1b.parquet")
    whole.select(range(3, 5)).to_parquet(place / "test-00001-of-00002-2c3d.parquet")
    table(1).to_parquet(place / "train-00000-of-00001.parquet")
    return place.parent


def test_a_folder_as_on_the_hub_is_read_in_the_order_of_its_files(folder: Path) -> None:
    dataset = opened(folder)
    assert ids(dataset) == ["q0", "q1", "q2", "q3", "q4"]
    assert (dataset.name, dataset[2].task, dataset[2].answers) == ("my_set", "my_set", ("2",))
    assert [dataset.image_size(index) for index in range(5)] == [(4, n + 1) for n in range(5)]
    assert dataset.image(4).shape == (4, 5, 3)


def test_one_file_and_what_was_saved_to_disk_are_read_too(tmp_path: Path) -> None:
    table(2).to_parquet(tmp_path / "mine.parquet")
    table(3).save_to_disk(tmp_path / "saved")
    datasets.DatasetDict({"test": table(4), "dev": table(1)}).save_to_disk(tmp_path / "splits")
    (arrow,) = (tmp_path / "saved").glob("*.arrow")
    for path, count in (("mine.parquet", 2), ("saved", 3), ("splits", 4), (arrow, 3)):
        assert len(opened(tmp_path / path)) == count
    assert "splits has dev, test" in refusal(tmp_path / "splits", split="validation")


@pytest.mark.parametrize("form", ["bytes", "struct"])
def test_images_need_no_metadata_of_datasets(tmp_path: Path, form: str) -> None:
    plain = [row | ({"image": row["image"]["bytes"]} if form == "bytes" else {}) for row in rows(2)]
    datasets.Dataset.from_list(plain).to_parquet(tmp_path / "plain.parquet")
    dataset = opened(tmp_path / "plain.parquet")
    assert dataset.image_size(1) == (4, 2)


def test_configs_are_folders_that_are_joined_in_the_order_given(tmp_path: Path) -> None:
    for config, number in (("Art", 7), ("Biology", 8)):
        (tmp_path / config).mkdir()
        table(1, id=f"q{number}").to_parquet(tmp_path / config / "test-00000-of-00001.parquet")
    assert ids(opened(tmp_path, config=["Biology", "Art"])) == ["q8", "q7"]
    assert ids(opened(tmp_path, config="Art")) == ["q7"]
    assert "data.config=None" in (message := refusal(tmp_path))
    assert "one of Art, Biology" in message
    assert "data.config='Chemistry'" in refusal(tmp_path, config="Chemistry")


def test_what_is_not_there_is_named(folder: Path, tmp_path: Path) -> None:
    assert "data.split='val'" in (message := refusal(folder, split="val"))
    assert "test, train" in message
    (tmp_path / "empty").mkdir()
    assert "empty: no .parquet file" in refusal(tmp_path / "empty")
    assert "data.path" in refusal(tmp_path / "nowhere")
    (tmp_path / "notes.txt").touch()
    assert "data.path" in refusal(tmp_path / "notes.txt")
    assert "data.hub=NAME/DATASET" in refusal(None)


def test_a_missing_column_is_named_with_those_there_are(folder: Path) -> None:
    message = refusal(folder, columns=COLUMNS | {"answers": "answer"})
    assert "no column 'answer' (data.columns.answers); there are answers, id, image" in message


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("columns", {"question": "question"}, "data.columns.answers"),
        ("columns", COLUMNS | {"answer": "x"}, "data.columns.answer='x'"),
        ("columns", COLUMNS | {"task": 3}, "data.columns.task=3"),
        ("prompt", {"opn": "vqa2"}, "data.prompt.opn='vqa2'"),
        ("prompt", {"first_line": "x"}, "data.prompt.first_line='x'"),
        ("prompt", {"drop": "x"}, "data.prompt.drop='x'"),
        ("prune_options", 2, "data.prune_options=2"),
        ("score", "bleu", "data.score='bleu'"),
        ("answers_are", "number", "data.answers_are='number'"),
        ("max_samples", 0, "data.max_samples=0"),
        ("subset_seed", "x", "data.subset_seed='x'"),
        ("config", 3, "data.config=3"),
        ("streaming", "yes", "data.streaming='yes'"),
    ],
)
def test_impossible_settings_name_their_key(
    folder: Path, setting: str, value: Any, words: str
) -> None:
    assert words in refusal(folder, **{setting: value})


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"answers": []}, "row 0: column 'answers' is []"),
        ({"answers": None}, "whose answers are withheld"),
        ({"answers": ["", " "]}, "column 'answers'"),
        ({"question": " "}, "row 0: column 'question' is ' '"),
        ({"id": "same"}, "row 1: id 'same' is already that of row 0"),
    ],
)
def test_a_row_that_cannot_be_asked_is_named(tmp_path: Path, fields: Any, words: str) -> None:
    table(2, **fields).to_parquet(tmp_path / "rows.parquet")
    assert words in refusal(tmp_path / "rows.parquet")


def test_answers_that_the_score_is_not_defined_for(folder: Path) -> None:
    assert "at least 4, not 1" in refusal(folder, score="vqa")


@pytest.mark.parametrize(
    ("answer", "kind", "expected"),
    [("4", "index", "place"), ("-1", "index", "place"), ("E", "letter", "letter"),
     ("AB", "letter", "letter"), ("mouse", "text", "text")],
)  # fmt: skip
def test_an_answer_that_is_no_option(tmp_path: Path, answer: str, kind: str, expected: str) -> None:
    row = {**rows(1)[0], "answers": answer, "options": ["cat", "dog"]}
    datasets.Dataset.from_list([row]).to_parquet(tmp_path / "x.parquet")
    message = refusal(
        tmp_path / "x.parquet", columns=COLUMNS | {"options": "options"}, answers_are=kind
    )
    assert f"expects the {expected}" in message
    assert f"column 'answers' is '{answer}'" in message


def test_damaged_files_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1 and nothing else")
    assert "x.parquet: cannot be read" in refusal(tmp_path / "x.parquet")


def test_a_row_without_a_readable_image_fails_when_it_is_asked_for(tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(picture()["bytes"])
    cells = [None, {"bytes": None, "path": str(secret)}, {"bytes": b"text", "path": None}]
    broken = [row | {"image": cell} for row, cell in zip(rows(3), cells, strict=True)]
    datasets.Dataset.from_list(broken).to_parquet(tmp_path / "broken.parquet")
    dataset = opened(tmp_path / "broken.parquet")
    for index in range(3):
        with pytest.raises(ImageDecodeError):
            dataset.image_size(index)
        with pytest.raises(ImageDecodeError):
            dataset.image(index)
    assert len({dataset.image_key(index) for index in range(3)}) == 3


def test_images_are_told_apart_by_content_or_by_their_id(tmp_path: Path) -> None:
    table(3, image=picture()).to_parquet(tmp_path / "same.parquet")
    dataset = opened(tmp_path / "same.parquet")
    assert dataset.image_key(0) == dataset.image_key(1)
    by_id = opened(tmp_path / "same.parquet", columns=COLUMNS | {"image_id": "id"})
    assert [by_id.image_key(index) for index in range(3)] == ["q0", "q1", "q2"]


def test_a_subset_is_named_by_its_seed_alone(folder: Path) -> None:
    chosen = {seed: ids(opened(folder, max_samples=2, subset_seed=seed)) for seed in (0, 1)}
    assert chosen == {0: SUBSET_0, 1: SUBSET_1}
    assert ids(opened(folder, max_samples=2)) == ["q0", "q1"]
    dataset = opened(folder, max_samples=2, subset_seed=0)
    widths = [dataset.image_size(index)[1] - 1 for index in range(2)]
    assert [f"q{width}" for width in widths] == SUBSET_0


def test_both_questions_of_an_image_stay_together_where_pairs_are_scored(tmp_path: Path) -> None:
    pairs = [
        {"image_id": f"i{n % 4}", "question": f"{n}?", "answers": "Yes", "image": picture()}
        for n in range(8)
    ]
    datasets.Dataset.from_list(pairs).to_parquet(tmp_path / "pairs.parquet")
    columns = {"question": "question", "answers": "answers", "image": "image"}
    settings: dict[str, Any] = {"columns": columns | {"image_id": "image_id"}, "score": "mme"}
    for seed in (None, 0, 1):
        dataset = opened(tmp_path / "pairs.parquet", max_samples=5, subset_seed=seed, **settings)
        keys = [dataset.image_key(index) for index in range(len(dataset))]
        assert (len(keys), len(set(keys))) == (4, 2)
    file = tmp_path / "pairs.parquet"
    assert "data.max_samples=1" in refusal(file, max_samples=1, **settings)
    assert "data.columns.image_id" in refusal(file, score="mme", columns=columns)
    datasets.Dataset.from_list(pairs[:5]).to_parquet(file)
    assert "1 questions about image 'i1'" in refusal(file, **settings)


def test_streaming_takes_the_first_rows(folder: Path) -> None:
    dataset = opened(folder, streaming=True, max_samples=4)
    assert ids(dataset) == ["q0", "q1", "q2", "q3"]
    assert dataset.image_size(3) == (4, 4)
    assert len(opened(folder, streaming=True, max_samples=99)) == 5


def test_streaming_refuses_what_it_cannot_do(folder: Path, tmp_path: Path) -> None:
    assert "data.max_samples=None" in refusal(folder, streaming=True)
    message = refusal(folder, streaming=True, max_samples=2, subset_seed=0)
    assert "data.subset_seed=0" in message
    table(1).save_to_disk(tmp_path / "saved")
    assert "data.streaming=True" in refusal(tmp_path / "saved", streaming=True, max_samples=1)


@pytest.mark.whole
def test_mme_from_the_command_line_to_its_official_score(tmp_path: Path) -> None:
    """Always yes: half right, no pair; and model=none reads the sizes of the same rows."""
    asked = [
        {"question_id": f"OCR/{n // 2}.png", "question": f"{n}?", "category": "OCR",
         "answer": ("Yes", "No")[n % 2], "image": picture(60, 40)}
        for n in range(6)
    ]  # fmt: skip
    datasets.Dataset.from_list(asked).to_parquet(tmp_path / "mme.parquet")
    table = tmp_path / "table.json"
    table.write_text(json.dumps({f"{n}?": "Yes." for n in range(6)}))
    data = ["data=mme", f"data.path={tmp_path / 'mme.parquet'}", f"output_dir={tmp_path / 'out'}"]
    outcome = run_eval(
        "--config-dir", str(TESTS / "conf"), "model=table", f"model.table={table}", *data,
        "data.num_workers=0", "trainer=cpu", "logger=none",
    )  # fmt: skip
    assert (outcome.code, outcome.err) == (0, "")
    assert "MME perception - of 2000" in outcome.out
    (file,) = (tmp_path / "out").glob("mme_tier-medium_*.json")
    results = load_results(file)
    assert results.accuracy == 0.5
    assert results.mme == MmeTotals({"OCR": 50.0}, None, None, 3)
    none = ["model=none", *data[:2], f"output_dir={tmp_path / 'none'}"]
    assert run_eval(*none).code == 0
    (sizes,) = (tmp_path / "none").glob("mme_*_model-none.json")
    assert json.loads(sizes.read_text())["num_samples"] == 6


def test_without_the_package_one_line_says_how_to_install_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **more: Any) -> Any:
        if name == "datasets":
            raise ModuleNotFoundError("No module named 'datasets'", name="datasets")
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    assert "pip install 'tierexp[hub]'" in refusal(folder)


@pytest.mark.whole
def test_a_hub_that_does_not_answer_says_what_to_do() -> None:
    """Offline mode, so that no test waits for a network; the errors of both are of one class."""
    code = (
        "from tests.support.hub_tables import COLUMNS\n"
        "from tierexp.data.hub import HubDataset\n"
        "HubDataset(COLUMNS, 'test', hub='lmms-lab-encoder/MME')"
    )
    settings = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=settings, check=False
    )
    line = done.stderr.splitlines()[-1]
    assert "DataError: lmms-lab-encoder/MME, split test: cannot be read from the hub" in line
    assert "data.hub=NAME/DATASET reads it where it has moved to" in line
    assert "data.path=FOLDER" in line
    assert "hf download lmms-lab-encoder/MME --repo-type dataset" in line
    assert "HF_ENDPOINT" in line


@pytest.mark.whole
def test_neither_torch_nor_datasets_is_imported_before_a_table_is_opened() -> None:
    code = "import sys, tierexp.data.hub; sys.exit(bool({'torch', 'datasets'} & {*sys.modules}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
