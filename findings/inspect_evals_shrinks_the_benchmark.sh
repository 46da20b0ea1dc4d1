#!/usr/bin/env bash
# inspect-evals 0.28.0: the pictures of DocVQA, MathVista, MMMU and ZeroBench.
#
# Guess: a benchmark's pictures reach the model as the data set has them, and a model's own limit decides what
#   is made smaller.
# What happens: each is brought to at most 1,024 pixels on a side before any model sees it, with no setting and
#   no word: a page of 1700 x 2200 becomes 791 x 1024, a fifth of its pixels, and the same for 3000 x 4000.
#   ZeroBench, which asks for what is hard to see, is treated alike.
# Who is hurt: every comparison of resolutions, tiles or token budgets: beyond 1,024 pixels all see the same
#   picture blown up again, so more tokens seem to gain nothing. DocVQA figures beside those of other tools.
# The functions that count here, out of files that import all of the framework.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet pillow==12.0.0
"$folder/env/bin/pip" install --quiet --no-deps inspect-evals==0.28.0
cat > "$folder/run.py" <<'PY'
import ast
import io
import logging
import sys
from importlib.metadata import distribution, version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import PIL.Image

FOLDER = Path(sys.argv[1])


def functions(file: str) -> dict:
    path = distribution("inspect-evals").locate_file(f"inspect_evals/{file}")
    tree = ast.parse(Path(path).read_text())
    wanted = {"record_to_sample", "record_to_message", "save_image", "is_image_png", "is_image_webp"}
    tree.body = [part for part in tree.body if isinstance(part, ast.FunctionDef) and part.name in wanted]
    plain = {name: SimpleNamespace for name in
             ("Sample", "ChatMessageUser", "ContentText", "ContentImage")}
    theirs = plain | {
        "Any": Any, "ChatMessage": object, "Path": Path, "BytesIO": io.BytesIO, "Image": PIL.Image,
        "logger": logging.getLogger(), "IMAGE_BASE_DIR": FOLDER / "docvqa",
        "INSPECT_EVALS_CACHE_PATH": FOLDER, "INSTRUCTION_PROMPT": "",
    }
    exec(compile(tree, file, "exec"), theirs)
    return theirs


def shown(sample: SimpleNamespace) -> tuple[int, int]:
    return PIL.Image.open(sample.input[0].content[1].image).size


seen = {}
for size in ((1700, 2200), (3000, 4000), (800, 1000)):
    name, data = f"{size[0]}.png", io.BytesIO()
    page = PIL.Image.new("L", size, 255)
    page.save(data, "png")
    stored = {"bytes": data.getvalue(), "path": name}
    seen["DocVQA", size] = shown(functions("docvqa/docvqa.py")["record_to_sample"](
        {"image": stored, "question": "?", "answers": ["x"], "questionId": 1, "docId": 1}
    ))
    seen["MathVista", size] = shown(functions("mathvista/mathvista.py")["record_to_sample"](
        {"image": name, "decoded_image": stored, "question_type": "free_form", "query": "?", "answer": "x",
         "pid": 1, "precision": 0, "answer_type": "text", "metadata": {}}
    ))
    seen["ZeroBench", size] = shown(functions("zerobench/zerobench.py")["record_to_sample"](
        {"question_text": "?", "question_images": [f"zero{name}"], "question_images_decoded": [stored],
         "question_answer": "x", "question_id": "1", "image_attribution": []}
    ))
    kept = functions("mmmu/utils.py")["save_image"]({"image_1": page}, 1, FOLDER, size[0])
    seen["MMMU", size] = PIL.Image.open(kept).size
for (benchmark, size), now in seen.items():
    print(f"inspect-evals {version('inspect-evals')}: {benchmark}: {size[0]} x {size[1]} is shown as "
          f"{now[0]} x {now[1]}")
wanted = {(1700, 2200): (791, 1024), (3000, 4000): (768, 1024), (800, 1000): (800, 1000)}
sys.exit(any(now != wanted[size] for (_, size), now in seen.items()))
PY
"$folder/env/bin/python" "$folder/run.py" "$folder"
