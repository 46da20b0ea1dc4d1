"""Data files as people have them: read for what they say, or refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tierexp.data.folder import FolderDataset
from tierexp.data.sizes import read_sizes
from tierexp.errors import TierexpError

GOOD = '{"id": "1", "image": "a.png", "question": "q?", "answers": ["x"]}'


def line(**changed: object) -> str:
    """The good line with other fields; ... leaves a field out."""
    fields = {**json.loads(GOOD), **changed}
    return json.dumps({key: value for key, value in fields.items() if value is not ...})


# What a file of JSON lines holds, and the ids, questions and answers that are then there.
LINES_READ: list[tuple[str, str, list[tuple[str, str, tuple[str, ...]]]]] = [
    ("one", GOOD, [("1", "q?", ("x",))]),
    ("newline at the end", GOOD + "\n", [("1", "q?", ("x",))]),
    ("empty lines", f"\n\n{GOOD}\n\n", [("1", "q?", ("x",))]),
    ("lines of blanks", f"  \n{GOOD}\n\t\n", [("1", "q?", ("x",))]),
    (
        "Windows line ends",
        f"{GOOD}\r\n{line(id='2')}\r\n",
        [("1", "q?", ("x",)), ("2", "q?", ("x",))],
    ),
    ("byte order mark", "\ufeff" + GOOD, [("1", "q?", ("x",))]),
    ("further fields", line(note=[1, {"a": None}]), [("1", "q?", ("x",))]),
    ("a line separator in a text", line(question="a\u2028b"), [("1", "a\u2028b", ("x",))]),
    ("unicode", line(question="größe? 猫 🐈"), [("1", "größe? 猫 🐈", ("x",))]),
    ("escaped unicode", GOOD.replace("q?", r"\u732b"), [("1", "猫", ("x",))]),
    ("several answers", line(answers=["x", "y"]), [("1", "q?", ("x", "y"))]),
    ("the same answer twice", line(answers=["x", "x"]), [("1", "q?", ("x", "x"))]),
    ("an answer that is not in a list", line(answers="a person"), [("1", "q?", ("a person",))]),
    ("answers that are numbers", line(answers=[3, 2.5]), [("1", "q?", ("3", "2.5"))]),
    ("an id that is a number", line(id=7), [("7", "q?", ("x",))]),
    ("an array", f"[{GOOD}, {line(id='2')}]", [("1", "q?", ("x",)), ("2", "q?", ("x",))]),
    (
        "an array over lines",
        f"[\n{GOOD},\n{line(id='2')}\n]\n",
        [("1", "q?", ("x",)), ("2", "q?", ("x",))],
    ),
    ("a path with ./", line(image="./a.png"), [("1", "q?", ("x",))]),
    ("a path through a folder", line(image="sub/../a.png"), [("1", "q?", ("x",))]),
    ("a blank at the end of a question", line(question="q? "), [("1", "q? ", ("x",))]),
    ("long texts", line(question="q" * 100_000), [("1", "q" * 100_000, ("x",))]),
    ("blanks around", f"   {GOOD}   ", [("1", "q?", ("x",))]),
    ("a key twice", GOOD[:-1] + ', "question": "last"}', [("1", "last", ("x",))]),
]

# What a file of JSON lines holds, and words of the line that refuses it.
LINES_REFUSED: list[tuple[str, str | bytes, str]] = [
    ("nothing", "", "no samples"),
    ("empty lines alone", "\n\n \n", "no samples"),
    ("a byte order mark alone", "\ufeff", "no samples"),
    ("plain text", "hello", "line 1: malformed JSON"),
    ("a text", '"hello"', "line 1: not a JSON object"),
    ("a number", "5", "line 1: not a JSON object"),
    ("null", "null", "line 1: not a JSON object"),
    ("true", "true", "line 1: not a JSON object"),
    ("an array on the second line", f"{GOOD}\n[1]", "line 2: not a JSON object"),
    ("an array of numbers", "[1, 2]", "not a JSON object"),
    ("an empty array", "[]", "not a JSON object"),
    ("an empty object", "{}", "field 'id' is missing"),
    ("half a line", GOOD[:30], "line 1: malformed JSON"),
    ("half of the second line", f"{GOOD}\n{GOOD[:30]}", "line 2: malformed JSON"),
    ("two objects on a line", GOOD + GOOD, "line 1: malformed JSON"),
    ("a comma behind", GOOD + ",", "line 1: malformed JSON"),
    ("a comma in the object", GOOD[:-1] + ",}", "line 1: malformed JSON"),
    ("single quotes", GOOD.replace('"', "'"), "line 1: malformed JSON"),
    ("a comment", f"// mine\n{GOOD}", "line 1: malformed JSON"),
    ("one object over lines", json.dumps(json.loads(GOOD), indent=1), "line 1"),
    ("a control character", GOOD.replace("q?", "q\x01"), "malformed JSON"),
    ("a null byte", GOOD.replace("q?", "q\x00"), "malformed JSON"),
    ("CSV", "id,image,question,answers\n1,a.png,q?,x\n", "line 1: malformed JSON"),
    ("YAML", "id: 1\nimage: a.png\n", "line 1: malformed JSON"),
    ("Latin-1", line(question="X").replace("X", "gr\xf6\xdfe").encode("latin-1"), "not UTF-8"),
    ("UTF-16", GOOD.encode("utf-16"), "not UTF-8"),
    ("a picture", b"\x89PNG\r\n\x1a\n" + bytes(range(128, 200)), "not UTF-8"),
    ("gzip", b"\x1f\x8b\x08\x00" + bytes(range(128, 200)), "not UTF-8"),
    ("nested too deep", "[" * 100_000, "line 1"),
    ("nested too deep in a field", GOOD[:-1] + ', "n": ' + "[" * 100_000, "nested too deep"),
    ("nested too deep in objects", '{"a":' * 100_000, "nested too deep"),
    ("a number without end", GOOD[:-1] + ', "n": ' + "9" * 5000 + "}", "thousands of digits"),
    ("an id without end", GOOD.replace('"1"', "9" * 5000), "thousands of digits"),
    ("no id", line(id=...), "field 'id' is missing"),
    ("no image", line(image=...), "field 'image' is missing"),
    ("no question", line(question=...), "field 'question' is missing"),
    ("no answers", line(answers=...), "field 'answers' is missing"),
    ("another word for answers", line(answers=..., answer="x"), "field 'answers' is missing"),
    ("other letters", GOOD.replace("question", "Question"), "field 'question' is missing"),
    ("id null", line(id=None), "field 'id' is null"),
    ("id true", line(id=True), "field 'id' is true"),
    ("id empty", line(id=""), "field 'id'"),
    ("id of blanks", line(id="  "), "field 'id'"),
    ("id a list", line(id=["1"]), "field 'id'"),
    ("id an object", line(id={"a": 1}), "field 'id'"),
    ("id not a number", GOOD.replace('"1"', "NaN"), "field 'id'"),
    ("id infinite", GOOD.replace('"1"', "Infinity"), "field 'id'"),
    ("id twice", f"{GOOD}\n{GOOD}", "line 2: id '1' is already that of line 1"),
    ("id twice, once as a number", f"{GOOD}\n{line(id=1)}", "line 2: id '1' is already"),
    ("image null", line(image=None), "field 'image' is null"),
    ("image a number", line(image=5), "field 'image' is 5"),
    ("image a list", line(image=["a.png"]), "field 'image'"),
    ("image empty", line(image=""), "field 'image'"),
    ("image that is not there", line(image="b.png"), "b.png"),
    ("image a folder", line(image="sub"), "sub"),
    ("image of the file's own folder", line(image="."), "line 1"),
    ("image elsewhere", line(image="../secret.png"), "line 1"),
    ("image anywhere", line(image="/etc/passwd"), "line 1"),
    ("image of a home folder", line(image="~/a.png"), "line 1"),
    ("image on the network", line(image="https://example.org/a.png"), "line 1"),
    ("image with a null byte", line(image="a\x00.png"), "line 1"),
    ("image with a name without end", line(image="a" * 5000), "line 1"),
    ("image of another system", line(image="C:\\a.png"), "line 1"),
    ("image with half of a character", line(image="a\ud800.png"), "line 1"),
    ("question null", line(question=None), "field 'question' is null"),
    ("question empty", line(question=""), "field 'question'"),
    ("question of blanks", line(question=" \n\t"), "field 'question'"),
    ("question a number", line(question=5), "field 'question' is 5"),
    ("question a list", line(question=["q?"]), "field 'question'"),
    ("question with half of a character", line(question="a\ud800"), "field 'question'"),
    ("answers null", line(answers=None), "field 'answers' is null"),
    ("answers empty", line(answers=[]), "field 'answers' is []"),
    ("answers with nothing", line(answers=[""]), "field 'answers'"),
    ("answers with blanks", line(answers=["x", " "]), "field 'answers'"),
    ("answers with null", line(answers=["x", None]), "field 'answers'"),
    ("answers within answers", line(answers=[["x"]]), "field 'answers'"),
    ("answers an object", line(answers={"text": "x"}), "field 'answers'"),
    ("answers true", line(answers=[True]), "field 'answers'"),
    ("answers without end", GOOD.replace('["x"]', f"[{'[' * 50_000}"), "nested too deep"),
]

# What a CSV file of sizes holds, and the (height, width) that are then there.
SIZES_READ: list[tuple[str, str, list[tuple[int, int]]]] = [
    ("one", "height,width\n480,640\n", [(480, 640)]),
    ("no newline at the end", "height,width\n480,640", [(480, 640)]),
    ("the other order", "width,height\n640,480\n", [(480, 640)]),
    ("further columns", "id,height,width,x\n1,480,640,y\n", [(480, 640)]),
    ("blanks", "height , width\n 480 , 640 \n", [(480, 640)]),
    ("empty lines", "height,width\n\n480,640\n\n", [(480, 640)]),
    ("Windows line ends", "height,width\r\n480,640\r\n", [(480, 640)]),
    ("byte order mark", "\ufeffheight,width\n480,640\n", [(480, 640)]),
    ("quotes", '"height","width"\n"480","640"\n', [(480, 640)]),
    ("a line break in quotes", 'note,height,width\n"a\nb",480,640\n', [(480, 640)]),
    ("leading zeros", "height,width\n0480,640\n", [(480, 640)]),
    ("the longest side", "height,width\n2147483647,1\n", [(2147483647, 1)]),
    ("more cells than columns", "height,width\n480,640,7\n", [(480, 640)]),
]

# What a CSV file of sizes holds, and words of the line that refuses it.
SIZES_REFUSED: list[tuple[str, str | bytes, str]] = [
    ("nothing", "", "height"),
    ("a header alone", "height,width\n", "no sizes"),
    ("no header", "480,640\n", "height"),
    ("one column", "height\n480\n", "width"),
    ("other words", "h,w\n480,640\n", "height"),
    ("semicolons", "height;width\n480;640\n", "height"),
    ("tabs", "height\twidth\n480\t640\n", "height"),
    ("a fraction", "height,width\n480.0,640\n", "line 2: height is '480.0'"),
    ("a thousands separator", 'height,width\n"1,080",640\n', "line 2: height is '1,080'"),
    ("an underscore", "height,width\n1_080,640\n", "line 2: height is '1_080'"),
    ("an exponent", "height,width\n1e3,640\n", "line 2: height is '1e3'"),
    ("a sign", "height,width\n-480,640\n", "line 2: height is '-480'"),
    ("a plus", "height,width\n+480,640\n", "line 2: height is '+480'"),
    ("zero", "height,width\n480,0\n", "line 2: width is '0'"),
    ("a word", "height,width\n480,wide\n", "line 2: width is 'wide'"),
    ("an empty cell", "height,width\n480,\n", "line 2: width is ''"),
    ("a missing cell", "height,width\n480\n", "line 2: width is ''"),
    ("nan", "height,width\nnan,640\n", "line 2: height is 'nan'"),
    ("hexadecimal", "height,width\n0x10,640\n", "line 2: height is '0x10'"),
    ("digits of another script", "height,width\n\u0664\u0668\u0660,640\n", "line 2: height is"),
    ("a superscript", "height,width\n48²,640\n", "line 2: height is"),
    ("too long a side", "height,width\n2147483648,640\n", "from 1 to 2147483647"),
    ("a number without end", f"height,width\n{'9' * 5000},640\n", "line 2: height is '999"),
    ("the second line", "height,width\n480,640\n480,x\n", "line 3: width is 'x'"),
    ("a quote that does not end", 'height,width\n"480,640\n', "line 2"),
    ("a cell without end", f"height,width\n{'x' * 200_000},640\n", "line 2"),
    ("Latin-1", "height,width,\xf6\n480,640,\xdf\n".encode("latin-1"), "not UTF-8"),
    ("UTF-16", "height,width\n480,640\n".encode("utf-16"), "not UTF-8"),
    ("a picture", b"\x89PNG\r\n\x1a\n" + bytes(range(128, 200)), "not UTF-8"),
    ("JSON", GOOD, "height"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a picture and a folder, and a picture beside it."""
    (tmp_path / "mine" / "sub").mkdir(parents=True)
    Image.new("RGB", (4, 3)).save(tmp_path / "mine" / "a.png")
    Image.new("RGB", (4, 3)).save(tmp_path / "secret.png")
    return tmp_path / "mine"


def written(file: Path, content: str | bytes) -> Path:
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def test_the_tables_are_long_enough_and_name_each_case_once() -> None:
    for table in (LINES_READ, LINES_REFUSED, SIZES_READ, SIZES_REFUSED):
        assert len({name for name, *_ in table}) == len(table)
    assert sum(map(len, (LINES_READ, LINES_REFUSED, SIZES_READ, SIZES_REFUSED))) >= 100


@pytest.mark.parametrize(
    ("content", "samples"), [row[1:] for row in LINES_READ], ids=[row[0] for row in LINES_READ]
)
def test_lines_are_read_for_what_they_say(
    folder: Path, content: str, samples: list[tuple[str, str, tuple[str, ...]]]
) -> None:
    dataset = FolderDataset(written(folder / "mine.jsonl", content))
    found = [dataset[index] for index in range(len(dataset))]
    assert [(s.sample_id, s.question, s.answers) for s in found] == samples
    assert all(dataset.image(index).shape == (3, 4, 3) for index in range(len(dataset)))


@pytest.mark.parametrize(
    ("content", "words"), [row[1:] for row in LINES_REFUSED], ids=[row[0] for row in LINES_REFUSED]
)
def test_lines_are_refused_in_one_line(folder: Path, content: str | bytes, words: str) -> None:
    file = written(folder / "mine.jsonl", content)
    with pytest.raises(TierexpError) as refused:
        FolderDataset(file)
    assert_one_line(str(refused.value), file, words)


@pytest.mark.parametrize(
    ("content", "sizes"), [row[1:] for row in SIZES_READ], ids=[row[0] for row in SIZES_READ]
)
def test_sizes_are_read_for_what_they_say(
    folder: Path, content: str, sizes: list[tuple[int, int]]
) -> None:
    found = read_sizes(written(folder / "mine.csv", content))
    assert list(zip(found.heights.tolist(), found.widths.tolist(), strict=True)) == sizes


@pytest.mark.parametrize(
    ("content", "words"), [row[1:] for row in SIZES_REFUSED], ids=[row[0] for row in SIZES_REFUSED]
)
def test_sizes_are_refused_in_one_line(folder: Path, content: str | bytes, words: str) -> None:
    file = written(folder / "mine.csv", content)
    with pytest.raises(TierexpError) as refused:
        read_sizes(file)
    assert_one_line(str(refused.value), file, words)


def assert_one_line(message: str, file: Path, words: str) -> None:
    assert "\n" not in message
    assert message.startswith(str(file))
    assert words in message
    assert len(message) < 1000
