#!/usr/bin/env bash
# litellm 1.110.2: `token_counter` of a message with an image.
#
# Guess: the count follows the model that is named: it differs between vendors, and for open models it is
#   theirs or is refused.
# What happens: every model gets the same count, one vendor's rule of 512-pixel tiles with 85 and 170
#   tokens: a 1024 x 1024 picture is 765 tokens and the message's few for GPT-4o, for its small sister, for
#   Claude, Gemini, Qwen2.5-VL and Molmo. (Qwen2.5-VL makes 1,369 merged patches of it.)
# Who is hurt: budgets and routers in tokens that mix models or serve open ones.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet litellm==1.110.2 pillow==12.0.0
cat > "$folder/run.py" <<'PY'
import base64
import io
import sys
from importlib.metadata import version

import litellm
from PIL import Image

NAMES = ("gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5", "gemini/gemini-2.5-flash",
         "hosted_vllm/Qwen/Qwen2.5-VL-7B-Instruct", "hosted_vllm/allenai/Molmo-7B-D-0924")


def tokens(model: str, width: int, height: int) -> int:
    """Tokens of the image alone: the count with it less that of an empty text."""
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, "PNG")
    url = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    image = {"type": "image_url", "image_url": {"url": url, "detail": "high"}}
    both = [{"role": "user", "content": [image]}]
    text = [{"role": "user", "content": [{"type": "text", "text": ""}]}]
    return litellm.token_counter(model=model, messages=both) - litellm.token_counter(
        model=model, messages=text
    )


sizes = ((336, 336), (1024, 1024), (2000, 1000))
counts = {name: [tokens(name, *size) for size in sizes] for name in NAMES}
for name, count in counts.items():
    print(f"litellm {version('litellm')}: {name}: {dict(zip(sizes, count, strict=True))}")
sys.exit(any(count != [255, 765, 1105] for count in counts.values()))
PY
LITELLM_LOCAL_MODEL_COST_MAP=True "$folder/env/bin/python" "$folder/run.py"
