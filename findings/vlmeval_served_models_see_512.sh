#!/usr/bin/env bash
# nvidia-vlmeval 26.3 and ms-vlmeval 0.0.20, two packages of VLMEvalKit: `GPT4V`, the wrapper for any model behind
# an OpenAI-compatible address.
#
# Guess: a served model is sent the benchmark's pictures.
# What happens: unless told otherwise nvidia-vlmeval brings each to at most 512 pixels on a side, and both ask for
#   `detail` "low". A page of 1700 x 2200 is sent as 396 x 512 in the one, whole in the other. `total_img_size` in
#   ms-vlmeval, which is to limit several pictures together, is never used as a size: what is shared out is
#   `img_size`, which is -1, so four of 2000 x 2000 stay as they are at any total.
# Who is hurt: whoever puts their own model behind a server and evaluates it: DocVQA at a twentieth of the pixels
#   that the same weights see when loaded; token budgets on the server are never reached.
# The parts that count here, out of files that import all of the framework.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet numpy==2.3.5 pillow==12.0.0
"$folder/env/bin/pip" install --quiet --no-deps --target "$folder/nvidia-vlmeval" nvidia-vlmeval==26.3
"$folder/env/bin/pip" install --quiet --no-deps --target "$folder/ms-vlmeval" ms-vlmeval==0.0.20
cat > "$folder/run.py" <<'PY'
import ast
import base64
import io
import math
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from PIL import Image

FOLDER = Path(sys.argv[1])


def wrapper(package: str):
    encoder = ast.parse((FOLDER / package / "vlmeval/smp/vlm.py").read_text())
    encoder.body = [part for part in encoder.body if getattr(part, "name", None) == "encode_image_to_base64"]
    for line in ast.walk(encoder):  # ms-vlmeval takes its logger inside
        if isinstance(line, ast.FunctionDef):
            line.body = [part for part in line.body if "get_logger" not in ast.unparse(part)]
    theirs = {"np": np, "math": math, "io": io, "os": os, "base64": base64, "Image": Image}
    exec(compile(encoder, package, "exec"), theirs)
    source = ast.parse((FOLDER / package / "vlmeval/api/gpt.py").read_text())
    methods = {part.name: part for part in next(
        part for part in source.body if isinstance(part, ast.ClassDef) and part.name == "OpenAIWrapper"
    ).body if isinstance(part, ast.FunctionDef)}
    arguments = methods["__init__"].args
    defaults = dict(zip([one.arg for one in arguments.args][-len(arguments.defaults):],
                        map(ast.literal_eval, arguments.defaults), strict=True))
    defaults.setdefault("max_file_size", 1e9)
    exec(compile(ast.Module([methods["prepare_itlist"]], []), package, "exec"), theirs)

    def sent(pictures: list[Path], **settings) -> list:
        parts = theirs["prepare_itlist"](
            SimpleNamespace(**defaults | settings),
            [{"type": "image", "value": str(path)} for path in pictures] + [{"type": "text", "value": "?"}],
        )
        shown = []
        for part in parts:
            if part["type"] == "image_url":
                data = base64.b64decode(part["image_url"]["url"].split(",")[1])
                shown.append((Image.open(io.BytesIO(data)).size, part["image_url"]["detail"]))
        return shown

    return sent


page, square = FOLDER / "page.png", FOLDER / "square.png"
Image.new("RGB", (1700, 2200), "white").save(page)
Image.new("RGB", (2000, 2000), "white").save(square)
seen = {}
for package in ("nvidia-vlmeval", "ms-vlmeval"):
    (seen[package],) = wrapper(package)([page])
    print(f"{package}: 1700 x 2200 is sent as {seen[package][0]}, detail {seen[package][1]!r}")
several = wrapper("ms-vlmeval")([square] * 4, total_img_size=1024)
print(f"ms-vlmeval, total_img_size=1024: four of 2000 x 2000 are sent as {[size for size, _ in several]}")
sys.exit(
    seen != {"nvidia-vlmeval": ((396, 512), "low"), "ms-vlmeval": ((1700, 2200), "low")}
    or {size for size, _ in several} != {(2000, 2000)}
)
PY
"$folder/env/bin/python" "$folder/run.py" "$folder"
