#!/usr/bin/env bash
# openbench 0.5.3, MMMU: `record_to_sample`, which makes the prompt of a question.
#
# Guess: a question is asked with its options, two or nine, and the letters that they have.
# What happens: there are always four. What has more is cut off without a word, while the gold letter stays: where it is
#   E, the right answer is not among the choices, and the prompt says that the letter is one of ABCD. What has two gets
#   two empty ones, C and D. All pictures come behind the text, whose "<image 1>" stay as words; options that are
#   pictures are then four words "<image 2>" to "<image 5>".
# Who is hurt: MMMU figures beside any other tool's: questions that no model can answer count as wrong, and guessing is
#   made easier or harder.
# The function that counts here, out of a file that imports all of the framework.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --no-deps openbench==0.5.3
cat > "$folder/run.py" <<'PY'
import ast
import sys
import typing
from importlib.metadata import distribution, version
from types import SimpleNamespace


def part(file: str, wanted: type, name: str, given: dict):
    """One function or constant out of a file."""
    path = distribution("openbench").locate_file(f"openbench/{file}.py")
    tree = ast.parse(path.read_text())
    tree.body = [
        line for line in tree.body
        if isinstance(line, wanted) and name in (getattr(line, "name", None), getattr(line, "targets", [None])[0]
                                                 and getattr(line.targets[0], "id", None))
    ]
    exec(compile(tree, str(path), "exec"), given)
    return given[name]


plain = {name: SimpleNamespace for name in ("Sample", "ChatMessageUser", "ContentText", "ContentImage")}
given = plain | {name: getattr(typing, name) for name in ("Any", "Dict", "List", "Union", "cast")} | {
    "MULTIPLE_CHOICE_PROMPT_TEMPLATE": part("utils/text", ast.Assign, "MULTIPLE_CHOICE_PROMPT_TEMPLATE", {}),
    "extract_image_bytes": lambda image: image, "compress_image": lambda image, **named: image,
    "image_bytes_to_data_uri": lambda image: "data:",
}
make = part("datasets/mmmu", ast.FunctionDef, "record_to_sample", given)


def asked(options: list[str], answer: str) -> tuple[list[str], str, list[str]]:
    """The lines of the options, the gold letter, and the kinds of the message's parts."""
    sample = make({"question": "Which? <image 1>", "options": str(options), "id": "validation_Art_1", "answer": answer,
                   "question_type": "multiple-choice", "image_1": b"png"})
    content = sample.input[0].content
    lines = [line.strip() for line in content[0].text.splitlines() if line.strip()[1:2] == ")"]
    return lines, sample.target, ["text" if hasattr(one, "text") else "image" for one in content]


WANTED = {
    ("red", "blue", "green", "white", "black"): (["A) red", "B) blue", "C) green", "D) white"], "E", ["text", "image"]),
    ("true", "false"): (["A) true", "B) false", "C)", "D)"], "A", ["text", "image"]),
}
seen = {options: asked(list(options), WANTED[options][1]) for options in WANTED}
for options, (lines, answer, kinds) in seen.items():
    print(f"openbench {version('openbench')}: {options} is shown as {lines}, gold {answer}, {kinds}")
sys.exit(seen != WANTED)
PY
"$folder/env/bin/python" "$folder/run.py"
