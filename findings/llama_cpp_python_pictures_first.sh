#!/usr/bin/env bash
# llama-cpp-python 0.3.36, its chat handlers: a message of "Picture 1:", a picture, "Picture 2:", a picture and a question.
#
# Guess: pictures stand where the message has them, as MiniCPM-V and LLaVA's later models were trained, and as the
#   handler for Qwen2.5-VL of the same file does.
# What happens: the other handlers write all pictures first and then all texts, glued together: the model reads
#   "Picture 1:Picture 2:Which one is larger?" behind two pictures that nothing names. Moondream's writes "Question:" in
#   front of each text. The number of tokens is right, so that nothing shows it.
# Who is hurt: benchmarks of several pictures, comparisons of few-shot examples, and whoever compares the same weights
#   between this and another engine.
# The templates, out of a source archive that is not built, rendered as the handlers do.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet jinja2==3.1.6
"$folder/env/bin/pip" download --quiet --no-deps --no-binary :all: -d "$folder" llama-cpp-python==0.3.36
tar -xzf "$folder"/llama_cpp_python-0.3.36.tar.gz -C "$folder" --wildcards '*/llama_cpp/llama_chat_format.py'
cat > "$folder/run.py" <<'PY'
import ast
import sys
from pathlib import Path

from jinja2.sandbox import ImmutableSandboxedEnvironment

path = next(Path(sys.argv[1]).glob("*/llama_cpp/llama_chat_format.py"))
formats = {
    part.name: ast.literal_eval(line.value)
    for part in ast.parse(path.read_text()).body if isinstance(part, ast.ClassDef)
    for line in part.body if isinstance(line, ast.Assign) and line.targets[0].id == "CHAT_FORMAT"
}
CONTENT = [
    {"type": "text", "text": "Picture 1:"}, {"type": "image_url", "image_url": {"url": "<ONE>"}},
    {"type": "text", "text": "Picture 2:"}, {"type": "image_url", "image_url": {"url": "<TWO>"}},
    {"type": "text", "text": "Which one is larger?"},
]
PARTS = ("<ONE>", "<TWO>", "Picture 1:", "Picture 2:", "Which one is larger?")
seen = {}
for name, text in formats.items():
    template = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True).from_string(text)
    prompt = template.render(messages=[{"role": "user", "content": CONTENT}], add_generation_prompt=True)
    seen[name] = sorted(PARTS, key=prompt.index)
    print(f"llama-cpp-python 0.3.36: {name}: {prompt!r}")
in_place = seen.pop("Qwen25VLChatHandler")
wanted = ["Picture 1:", "<ONE>", "Picture 2:", "<TWO>", "Which one is larger?"]
first = {"Llava15ChatHandler", "Llava16ChatHandler", "MiniCPMv26ChatHandler", "NanoLlavaChatHandler",
         "MoondreamChatHandler", "ObsidianChatHandler", "Llama3VisionAlphaChatHandler"}
sys.exit(in_place != wanted or set(seen) != first or any(order != [*PARTS] for order in seen.values()))
PY
"$folder/env/bin/python" "$folder/run.py" "$folder"
