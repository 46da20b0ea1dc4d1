#!/usr/bin/env bash
# llama-cpp-python 0.3.36: the prompts that its handlers for LLaVA 1.5, LLaVA 1.6 and Qwen2.5-VL make.
#
# Guess: a model gets the prompt that it was trained with, which stands above the handler for LLaVA 1.6 as an example:
#   "USER: ... ASSISTANT:". The templates say so, line ends included.
# What happens: the templates are rendered with `trim_blocks`, which takes the line end behind each block out: LLaVA 1.5
#   reads "What is it?ASSISTANT: A dog.USER: Which colour?USER: ASSISTANT: ", without a blank in front of a role and with
#   an empty turn behind each question that is plain text. LLaVA 1.6 has no roles at all: two questions and the answer
#   between them are one line. The prompt of Qwen2.5-VL ends with "assistant" and lacks the line end behind it.
# Who is hurt: accuracy and lengths of answers by this engine beside any other with the same file of weights.
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
MESSAGES = [
    {"role": "system", "content": "Be short."},
    {"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "<ONE>"}}, {"type": "text", "text": "What is it?"},
    ]},
    {"role": "assistant", "content": "A dog."},
    {"role": "user", "content": "Which colour?"},
]
WANTED = {
    "Llava15ChatHandler": "Be short.USER: <ONE>What is it?ASSISTANT: A dog.USER: Which colour?USER: ASSISTANT: ",
    "Llava16ChatHandler": "Be short.<ONE>\nWhat is it?A dog.Which colour?Answer:",
    "Qwen25VLChatHandler": "<|im_start|>system\nBe short.<|im_end|>\n<|im_start|>user\n<ONE>What is it?<|im_end|>\n"
    "<|im_start|>assistant\nA dog.<|im_end|>\n<|im_start|>user\nWhich colour?<|im_end|>\n<|im_start|>assistant",
}
seen = {}
for name in WANTED:
    template = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True).from_string(formats[name])
    seen[name] = template.render(messages=MESSAGES, add_generation_prompt=True)
    print(f"llama-cpp-python 0.3.36: {name}: {seen[name]!r}")
sys.exit(seen != WANTED)
PY
"$folder/env/bin/python" "$folder/run.py" "$folder"
