from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tierexp.data.folder import FolderDataset
from tierexp.data.sample import QuestionDataset
from tierexp.data.scores.registry import SCORES
from tierexp.errors import ConfigError, DataError, ImageDecodeError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images = tmp_path / "images"
    images.mkdir()
    Image.new("RGB", (40, 30), (200, 10, 20)).save(images / "wide.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # displayed turned by 90 degrees
    Image.new("RGB", (40, 30)).save(images / "turned.jpg", exif=exif)
    (images / "broken.png").write_bytes(b"no picture")
    return tmp_path


def line(**changes: object) -> dict[str, object]:
    fields = {"id": "a", "image": "images/wide.png", "question": "Which colour?"}
    return {**fields, "answers": ["red", "crimson"], **changes}


def write(folder: Path, *lines: object) -> Path:
    file = folder / "my_photos.jsonl"
    texts = [text if isinstance(text, str) else json.dumps(text) for text in lines]
    file.write_text("\n".join(texts), encoding="utf-8")
    return file


def refusal(folder: Path, *lines: object) -> str:
    with pytest.raises(DataError) as caught:
        FolderDataset(write(folder, *lines))
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_samples_images_and_sizes(folder: Path) -> None:
    file = write(folder, line(), line(id="b", image="images/turned.jpg"))
    dataset: QuestionDataset = FolderDataset(file)
    assert (dataset.name, len(dataset)) == ("my_photos", 2)
    sample = dataset[0]
    assert (sample.sample_id, sample.question) == ("a", "Which colour?")
    assert (sample.answers, sample.task) == (("red", "crimson"), "my_photos")
    np.testing.assert_array_equal(dataset.image(0), np.full((30, 40, 3), (200, 10, 20), np.uint8))
    assert [dataset.image_size(index) for index in (0, 1)] == [(30, 40), (40, 30)]
    assert dataset.image(1).shape == (40, 30, 3)


def test_a_name_of_ones_own_names_the_task_too(folder: Path) -> None:
    dataset = FolderDataset(write(folder, line()), name="kitchen")
    assert (dataset.name, dataset[0].task) == ("kitchen", "kitchen")


def test_images_are_found_from_any_working_directory(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, line())
    monkeypatch.chdir(folder)
    dataset = FolderDataset("my_photos.jsonl")
    monkeypatch.chdir(folder.parent)
    assert dataset.image_size(0) == (30, 40)


def test_one_key_per_image_however_its_path_is_written(folder: Path) -> None:
    paths = ["images/wide.png", "./images/../images/wide.png", str(folder / "images/wide.png")]
    lines = [line(id=str(number), image=path) for number, path in enumerate(paths)]
    dataset = FolderDataset(write(folder, *lines, line(id="z", image="images/turned.jpg")))
    keys = [dataset.image_key(index) for index in range(4)]
    assert len({*keys[:3]}) == 1
    assert keys[3] != keys[0]


def test_max_samples_keeps_the_first_ones_and_still_checks_the_rest(folder: Path) -> None:
    lines = [line(id=str(number)) for number in range(5)]
    dataset = FolderDataset(write(folder, *lines), max_samples=2)
    assert [dataset[index].sample_id for index in range(len(dataset))] == ["0", "1"]
    assert len(FolderDataset(write(folder, *lines), max_samples=99)) == 5
    with pytest.raises(DataError, match="line 6"):
        FolderDataset(write(folder, *lines, "{"), max_samples=2)


@pytest.mark.parametrize("value", [0, -1, 1.5, True])
def test_impossible_max_samples(folder: Path, value: int) -> None:
    with pytest.raises(ConfigError, match=r"data\.max_samples"):
        FolderDataset(write(folder, line()), max_samples=value)


def test_a_missing_file_names_the_key(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.jsonl", tmp_path):
        with pytest.raises(ConfigError) as caught:
            FolderDataset(path)
        assert (caught.value.key, caught.value.value) == ("data.path", str(path))


@pytest.mark.parametrize("name", [2014, "", ["a"]])
def test_a_name_must_be_text(folder: Path, name: object) -> None:
    with pytest.raises(ConfigError, match=r"data\.name"):
        FolderDataset(write(folder, line()), name=name)  # type: ignore[arg-type]


def test_answers_are_scored_as_configured(folder: Path) -> None:
    file = write(folder, line())
    assert FolderDataset(file).score is SCORES["exact_match"]
    assert FolderDataset(file, score="anls").score is SCORES["anls"]
    own = FolderDataset(file, score="tests.support.own_scores.starts_alike").score
    assert own("xyz", ["x"]) == 1.0


@pytest.mark.parametrize("score", ["bleu", "mme", None, ["anls"]])
def test_unknown_scores_and_those_of_pairs_are_refused(folder: Path, score: object) -> None:
    with pytest.raises(ConfigError, match=r"data\.score=.*one of exact_match, vqa") as caught:
        FolderDataset(write(folder, line()), score=score)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("score", "fitting", "other", "expected"),
    [
        ("vqa", ["red"] * 10, ["red"], "at least 4, not 1"),
        ("count", ["3", "four"], ["3", "many"], "one whole number each"),
    ],
)
def test_a_score_that_its_answers_cannot_have_names_the_line(
    folder: Path, score: str, fitting: list[str], other: list[str], expected: str
) -> None:
    file = write(folder, line(answers=fitting), line(id="b", answers=other))
    with pytest.raises(DataError) as caught:
        FolderDataset(file, score=score)
    message = str(caught.value)
    assert f"line 2: field 'answers' is {json.dumps(other)}; data.score={score}" in message
    assert expected in message
    assert "\n" not in message


def test_malformed_json_names_its_line_among_empty_ones(folder: Path) -> None:
    message = refusal(folder, line(), "", '{"id": "b", "image"')
    assert "my_photos.jsonl, line 3: malformed JSON" in message
    assert '"answers": [' in message


@pytest.mark.parametrize("text", ["[1]", '"text"', "3", "null"])
def test_json_that_is_not_an_object(folder: Path, text: str) -> None:
    assert "line 1: not a JSON object" in refusal(folder, text)


@pytest.mark.parametrize("field", ["id", "image", "question"])
@pytest.mark.parametrize("value", [True, None, "", "  ", ["x"], "half an emoji: \ud83d"])
def test_texts_must_be_non_empty_strings(folder: Path, field: str, value: object) -> None:
    message = refusal(folder, line(id="other"), line(**{field: value}))
    assert f"line 2: field {field!r} is {json.dumps(value)}" in message


@pytest.mark.parametrize("value", ["", [], ["red", True], [""], None, {"a": "red"}, [["red"]]])
def test_answers_must_be_texts(folder: Path, value: object) -> None:
    assert "line 1: field 'answers' is" in refusal(folder, line(answers=value))


@pytest.mark.parametrize("field", ["id", "image", "question", "answers"])
def test_a_missing_field_is_named_even_if_it_is_only_misspelt(folder: Path, field: str) -> None:
    fields = line()
    fields[field.title()] = fields.pop(field)
    assert f"field {field!r} is missing" in refusal(folder, fields)


def test_other_fields_are_ignored(folder: Path) -> None:
    assert FolderDataset(write(folder, line(source="my phone")))[0].sample_id == "a"


def test_ids_are_unique(folder: Path) -> None:
    assert "line 3: id 'a' is already that of line 1" in refusal(folder, line(), "", line())


@pytest.mark.parametrize("image", ["images/none.png", "images", "data:" + "A" * 5000, "a\0b"])
def test_an_image_that_does_not_exist_names_line_and_path(folder: Path, image: str) -> None:
    message = refusal(folder, line(), line(id="b", image=image))
    assert "line 2: image" in message
    assert "does not exist" in message
    assert len(message) < 500


def test_a_file_without_samples(folder: Path) -> None:
    assert "no samples" in refusal(folder, "", "  ")


def test_text_in_another_encoding(folder: Path) -> None:
    file = folder / "latin.jsonl"
    file.write_bytes(json.dumps(line(question="Größe?"), ensure_ascii=False).encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8"):
        FolderDataset(file)


def test_byte_order_mark_carriage_returns_and_line_separators(folder: Path) -> None:
    file = folder / "windows.jsonl"
    text = json.dumps(line(question="one\u2028two"), ensure_ascii=False)
    file.write_bytes(f"{text}\r\n{json.dumps(line(id='b'))}\r\n".encode("utf-8-sig"))
    dataset = FolderDataset(file)
    assert [dataset[0].question, dataset[1].sample_id] == ["one\u2028two", "b"]


def test_an_unreadable_image_is_found_when_it_is_asked_for(folder: Path) -> None:
    dataset = FolderDataset(write(folder, line(image="images/broken.png"), line(id="b")))
    for ask in (dataset.image_size, dataset.image):
        with pytest.raises(ImageDecodeError, match=r"broken\.png"):
            ask(0)
    assert dataset.image_size(1) == (30, 40)


def test_it_works_without_torch() -> None:
    code = "import sys, tierexp.data.folder, tierexp.data.tierqa; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("value", "expected"),
    [("a person", ("a person",)), (3, ("3",)), ([3, "three", 2.5], ("3", "three", "2.5"))],
)
def test_a_single_answer_and_numbers(folder: Path, value: object, expected: tuple[str]) -> None:
    assert FolderDataset(write(folder, line(answers=value)))[0].answers == expected


def test_ids_may_be_numbers(folder: Path) -> None:
    dataset = FolderDataset(write(folder, line(id=7), line(id=262148000), line(id="x")))
    assert [dataset[index].sample_id for index in range(3)] == ["7", "262148000", "x"]
    assert "line 2: id '7' is already that of line 1" in refusal(folder, line(id=7), line(id="7"))
    for value in ("NaN", "1e999"):
        text = json.dumps(line()).replace('"id": "a"', f'"id": {value}')
        assert "line 1: field 'id' is" in refusal(folder, text)


@pytest.mark.parametrize("field", ["image", "question"])
def test_other_texts_may_not(folder: Path, field: str) -> None:
    assert f"line 1: field {field!r} is 3; expected" in refusal(folder, line(**{field: 3}))


def test_paths_as_windows_writes_them(folder: Path) -> None:
    lines = [
        line(image="images\\wide.png"),
        line(id="b"),
        line(id="c", image=".\\images\\none.png"),
    ]
    dataset = FolderDataset(write(folder, *lines[:2]))
    assert dataset.image_key(0) == dataset.image_key(1) == "images/wide.png"
    assert "line 3: image" in refusal(folder, *lines)
    (folder / "images" / "odd\\name.png").write_bytes((folder / "images/wide.png").read_bytes())
    odd = FolderDataset(write(folder, line(image="images/odd\\name.png")))
    assert odd.image_size(0) == (30, 40)


def test_an_address_is_no_file(folder: Path) -> None:
    message = refusal(folder, line(image="https://example.org/a.jpg"))
    assert "line 1: image https://example.org/a.jpg is an address; it has to be a file" in message


@pytest.mark.parametrize("indent", [None, 2])
def test_one_array_of_all_samples(folder: Path, indent: int | None) -> None:
    file = folder / "array.json"
    items = [line(), line(id="b", image="images/turned.jpg")]
    file.write_text(json.dumps(items, indent=indent))
    dataset = FolderDataset(file)
    assert [dataset[index].sample_id for index in range(len(dataset))] == ["a", "b"]
    assert dataset.image_size(1) == (40, 30)
    file.write_text(json.dumps([line(), line(id="b", answers=[]), "x"], indent=indent))
    with pytest.raises(DataError, match=r"array\.json, item 2: field 'answers' is \[\]"):
        FolderDataset(file)
    file.write_text(json.dumps([line(), "x"], indent=indent))
    with pytest.raises(DataError, match=r"array\.json, item 2: not a JSON object"):
        FolderDataset(file)
    file.write_text(json.dumps(items, indent=2)[:-2])
    with pytest.raises(DataError, match=r"array\.json, line \d+: malformed JSON at column"):
        FolderDataset(file)


def test_one_object_over_several_lines_is_told_from_a_broken_one(folder: Path) -> None:
    message = refusal(folder, json.dumps(line(), indent=2))
    assert "line 1: one JSON value over several lines" in message
    assert "malformed" in refusal(folder, json.dumps(line(), indent=2)[:-1])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 100_000, "nested too deep"),
        ('{"id": ' + "9" * 5000 + "}", "a number of thousands of digits"),
        ('{"id": ' + '{"a":' * 100_000, "nested too deep"),
    ],
)
def test_json_that_python_gives_up_on(folder: Path, text: str, reason: str) -> None:
    message = refusal(folder, line(), text)
    assert "line 2: " in message
    assert reason in message
    assert len(message) < 300


def test_links_in_paths_are_followed_once_each(folder: Path, tmp_path: Path) -> None:
    """One key per file, whichever of its names is used, and none of them leads out."""
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    (outside / "secret.png").write_bytes((folder / "images/wide.png").read_bytes())
    inside = folder / "set"
    inside.mkdir()
    (folder / "images").rename(inside / "images")
    (inside / "alias").symlink_to("images")
    (inside / "images" / "same.png").symlink_to("wide.png")
    (inside / "out").symlink_to(outside)
    (inside / "images" / "out.png").symlink_to(outside / "secret.png")
    names = ["images/wide.png", "alias/wide.png", "alias/same.png", "alias/../images/wide.png"]
    dataset = FolderDataset(
        write(inside, *[line(id=str(place), image=name) for place, name in enumerate(names)])
    )
    assert {dataset.image_key(index) for index in range(4)} == {"images/wide.png"}
    for name in ("out/secret.png", "images/out.png", "alias/out.png", "../elsewhere/secret.png"):
        assert "lies outside" in refusal(inside, line(image=name))
        assert FolderDataset(write(inside, line(image=name)), images_anywhere=True)


@pytest.mark.parametrize("decode", ["exact", "scaled"])
def test_photos_are_decoded_smaller_where_that_is_wanted(folder: Path, decode: str) -> None:
    Image.new("RGB", (400, 300), "navy").save(folder / "images" / "photo.jpg")
    dataset = FolderDataset(write(folder, line(image="images/photo.jpg")), decode=decode)
    assert dataset.image(0).shape == (300, 400, 3)
    assert dataset.image_size(0) == (300, 400)
    expected = (75, 100, 3) if decode == "scaled" else (300, 400, 3)
    assert dataset.image_at_least(0, (70, 70)).shape == expected
    with pytest.raises(ConfigError, match=r"data\.decode='fast'.*exact, scaled"):
        FolderDataset(write(folder, line()), decode="fast")  # type: ignore[arg-type]
