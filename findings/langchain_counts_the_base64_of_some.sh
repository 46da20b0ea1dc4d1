#!/usr/bin/env bash
# langchain-core 1.8.3: `count_tokens_approximately`, and `trim_messages` with `token_counter="approximate"`.
#
# Guess: a picture has its fixed count, 85, "instead of counting base64-encoded characters", as the function's notes say.
# What happens: the kind of the block decides. "image_url" and "image" are 85; the same picture in the blocks of OpenAI's
#   Responses ("input_image"), of Gemini ("media") or of Bedrock ({"image": ...} with no "type") is counted by its
#   letters: 300 kB of JPEG are 85 tokens or 100,000. Trimming to 20,000 keeps the conversation with the one, and with the
#   other drops it all, picture and question, without a word.
# Who is hurt: agents that see pictures, and budgets of tokens, which are wrong by a thousand times in one and by ten
#   times in the other direction (a page is 85, too).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet langchain-core==1.8.3
cat > "$folder/run.py" <<'PY'
import base64
import random
import sys
from importlib.metadata import version

from langchain_core.messages import AIMessage, HumanMessage, trim_messages
from langchain_core.messages.utils import count_tokens_approximately

data = base64.b64encode(random.Random(0).randbytes(300_000)).decode()
BLOCKS = {
    "image_url": {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{data}"}},
    "image": {"type": "image", "base64": data, "mime_type": "image/jpeg"},
    "input_image": {"type": "input_image", "image_url": f"data:image/jpeg;base64,{data}"},
    "media": {"type": "media", "mime_type": "image/jpeg", "data": data},
    "Bedrock": {"image": {"format": "jpeg", "source": {"bytes": data}}},
}
seen = {}
for name, block in BLOCKS.items():
    asked = HumanMessage([{"type": "text", "text": "What is it?"}, block])
    talk = [asked, AIMessage("A dog."), HumanMessage("Which colour?")]
    kept = trim_messages(
        talk, max_tokens=20_000, token_counter="approximate", strategy="last", start_on="human"
    )
    seen[name] = round(count_tokens_approximately([asked]), -1), asked in kept
    print(f"langchain-core {version('langchain-core')}: {name}: {seen[name][0]} tokens, kept: {seen[name][1]}")
small = {name: row for name, row in seen.items() if row == (90, True)}
large = {name for name, (tokens, kept) in seen.items() if tokens > 100_000 and not kept}
sys.exit(set(small) != {"image_url", "image"} or large != {"input_image", "media", "Bedrock"})
PY
"$folder/env/bin/python" "$folder/run.py"
