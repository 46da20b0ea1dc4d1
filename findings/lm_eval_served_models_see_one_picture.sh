#!/usr/bin/env bash
# lm-eval 0.4.13 (the Language Model Evaluation Harness), MMMU with a served model (`local-chat-completions`).
#
# Guess: a question that shows three pictures is asked with three, by whatever runs the model.
# What happens: `max_images` is 1 for served models and 999 for those that are run here (`hf-multimodal`,
#   `vllm-vlm`). The first picture alone is sent, and the text keeps three "<image>", so that choices which are
#   pictures are words "<image>" to the model. All that is said of it is a line of the log, "Using max_images 1".
#   `max_images=9` sends the three, in front of the text: which place each belongs to is lost.
# Who is hurt: figures of served and of local models side by side; questions whose choices are pictures, which
#   become guesses; costs and tokens of a benchmark, which look smaller than they are.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet "lm-eval[api]==0.4.13" pillow==12.0.0
cat > "$folder/run.py" <<'PY'
import ast
import inspect
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import distribution, version
from pathlib import Path

from lm_eval.api.instance import Instance
from lm_eval.models.openai_completions import LocalChatCompletion
from lm_eval.tasks.mmmu import utils as mmmu
from PIL import Image

asked = []


class Service(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        answer = json.dumps({"choices": [{"index": 0, "message": {"role": "assistant", "content": "A"}}]})
        self.send_response(200)
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *_: object) -> None:
        pass


service = HTTPServer(("127.0.0.1", 0), Service)
threading.Thread(target=service.serve_forever, daemon=True).start()
question = {
    "question_type": "multiple-choice", "question": "Which of them goes on from <image 1>?",
    "options": "['<image 2>', '<image 3>']", "answer": "A",
} | {f"image_{number}": Image.new("RGB", (32, 32), colour) for number, colour in
     ((1, "red"), (2, "green"), (3, "blue"))}
seen = []
for options in ({}, {"max_images": 9}):
    model = LocalChatCompletion(
        model="any", base_url=f"http://127.0.0.1:{service.server_port}/v1/chat/completions", tokenizer_backend=None,
        **options,
    )
    text = model.apply_chat_template([{"role": "user", "content": mmmu.doc_to_text(question)}])
    visual = mmmu.doc_to_image(question)
    arguments = text, {"until": ["\n"], "max_gen_toks": 8}, {"visual": visual}
    model.generate_until([Instance("generate_until", question, arguments, 0)], disable_tqdm=True)
    content = asked[-1]["messages"][-1]["content"]
    kinds = [part["type"] for part in content]
    seen.append((len(visual), kinds, content[-1]["text"].count("<image>")))
    print(f"lm-eval {version('lm-eval')}, {options or 'defaults'}: of {len(visual)} pictures "
          f"{kinds.count('image_url')} are sent; the text says <image> {seen[-1][2]} times")

here = set()
for file in ("hf_vlms", "vllm_vlms"):
    source = Path(distribution("lm-eval").locate_file(f"lm_eval/models/{file}.py")).read_text()
    parts = ast.walk(ast.parse(source))
    taken = next(part for part in parts if getattr(part, "name", "") == "__init__").args
    names = [one.arg for one in taken.args][-len(taken.defaults):]
    here.add(ast.literal_eval(taken.defaults[names.index("max_images")]))
there = inspect.signature(LocalChatCompletion.__mro__[1].__mro__[1].__init__).parameters["max_images"].default
print(f"max_images: {there} for a served model, {here} for hf-multimodal and vllm-vlm")
wanted = [(3, ["image_url", "text"], 3), (3, ["image_url"] * 3 + ["text"], 3)]
sys.exit(seen != wanted or (there, here) != (1, {999}))
PY
"$folder/env/bin/python" "$folder/run.py"
