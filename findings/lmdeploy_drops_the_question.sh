#!/usr/bin/env bash
# lmdeploy 0.18.0: a message of several texts with pictures between them, as OpenAI-compatible clients send "Picture 1:",
# a picture, "Picture 2:", a picture and the question.
#
# Guess: the model gets every text, in its place; at the most the pictures are put in front.
# What happens: for Gemma 3, LLaVA, Llama 4, DeepSeek-VL, DeepSeek-VL2, CogVLM and MiniCPM-V only the *first* text is kept,
#   behind all pictures: the model reads two pictures and "Picture 1:", and the question is gone. Nothing is said, and
#   an answer comes. InternVL keeps all, in place. One text per message is right with each.
# Who is hurt: benchmarks of several pictures (BLINK, MMMU, MuirBench) on these models: answers to no question, scored
#   as the model's; and counts of the prompt's tokens.
# The methods that make the prompt, out of files that import all of the framework.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" download --quiet --no-deps --dest "$folder" --only-binary :all: --python-version 3.12 \
  --platform manylinux_2_28_x86_64 lmdeploy==0.18.0
cat > "$folder/run.py" <<'PY'
import ast
import logging
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

FILES = {"Gemma 3": "gemma3_vl", "LLaVA": "llava_hf", "Llama 4": "llama4", "DeepSeek-VL": "deepseek",
         "DeepSeek-VL2": "deepseek_vl2", "CogVLM": "cogvlm", "MiniCPM-V": "minicpmv", "InternVL": "internvl"}
(wheel,) = Path(sys.argv[1]).glob("lmdeploy-*.whl")
template = SimpleNamespace(
    messages2prompt=lambda messages, **named: "".join(message["content"] for message in messages), user=""
)
MESSAGE = {
    "role": "user",
    "content": [
        {"type": "text", "text": "Picture 1:"}, {"type": "image", "data": None},
        {"type": "text", "text": "Picture 2:"}, {"type": "image", "data": None},
        {"type": "text", "text": "Which one is larger?"},
    ],
    "preprocess": [{"best_grid": None}] * 2,
}


def prompt(file: str) -> str:
    tree = ast.parse(zipfile.ZipFile(wheel).read(f"lmdeploy/vl/model/{file}.py").decode())
    methods = [part for part in ast.walk(tree) if isinstance(part, ast.FunctionDef)
               and part.name in ("proc_messages", "proc_single_message")]
    named = {part.name: part for part in methods}
    static = bool(named["proc_messages"].decorator_list)
    for part in named.values():
        part.decorator_list = []
    plain = SimpleNamespace(IMAGE_TOKEN_included=lambda messages: False)
    made = {"logger": logging.getLogger(file), "VisionModel": plain}
    exec(compile(ast.Module([*named.values()], []), file, "exec"), made)
    made["DeepSeek2VisionModel"] = SimpleNamespace(proc_single_message=made.get("proc_single_message"))
    model = SimpleNamespace(version="2.6", image_token="<IMAGE_TOKEN>")
    said = made["proc_messages"](*(() if static else (model,)), [MESSAGE], template)
    return said[0]


logging.disable()
seen = {}
for name, file in FILES.items():
    text = prompt(file)
    seen[name] = text.count("<IMAGE_TOKEN>"), "Picture 2:" in text, "Which one is larger?" in text
    print(f"lmdeploy 0.18.0: {name}: {text!r}")
kept = seen.pop("InternVL")
sys.exit(kept != (2, True, True) or any(row != (2, False, False) for row in seen.values()))
PY
"$folder/env/bin/python" "$folder/run.py" "$folder"
