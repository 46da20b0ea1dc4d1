#!/usr/bin/env bash
# mlx-vlm 0.7.10: `get_message_json`, by which `apply_chat_template(processor, config, "What is it?", num_images=1)`, the
# call of its examples, and its own benchmarks place the picture.
#
# Guess: the picture comes first, as these models were trained and as the question can look at it.
# What happens: it depends on the family. Gemma 3, Qwen2-VL, Llama 3.2 Vision, Llama 4, Kimi-VL, Idefics2, Aya Vision and
#   Granite Vision get the question first and the picture behind it; Qwen2.5-VL, Qwen3-VL, Idefics3 and SmolVLM the
#   picture first. Qwen2-VL and Qwen2.5-VL, of one prompt format, differ.
# Who is hurt: the words of a question in front of the picture cannot attend to it, and in Llama 3.2 are kept from it: a
#   comparison of generations or with another engine. Several questions to one picture have no common beginning, so that
#   a cache of prefixes saves nothing and the picture is computed anew for each.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --no-deps mlx-vlm==0.7.10
cat > "$folder/run.py" <<'PY'
import importlib.util
import sys
from importlib.metadata import distribution, version

# The file alone: the package around it imports all of the framework.
path = distribution("mlx-vlm").locate_file("mlx_vlm/prompt_utils.py")
spec = importlib.util.spec_from_file_location("prompt_utils", path)
utils = importlib.util.module_from_spec(spec)
spec.loader.exec_module(utils)

BEHIND = ("gemma3", "qwen2_vl", "mllama", "llama4", "kimi_vl", "idefics2", "aya_vision", "granite_vision")
FIRST = ("qwen2_5_vl", "qwen3_vl", "idefics3", "smolvlm")
seen = {}
for name in BEHIND + FIRST:
    content = utils.get_message_json(name, "What is it?", num_images=1)["content"]
    if isinstance(content, str):
        parts = sorted(("What is it?", "<start_of_image>"), key=content.index)
        seen[name] = ["text" if part == "What is it?" else "image" for part in parts]
    else:
        seen[name] = [part["type"] for part in content]
    print(f"mlx-vlm {version('mlx-vlm')}: {name}: {content}")
wanted = dict.fromkeys(BEHIND, ["text", "image"]) | dict.fromkeys(FIRST, ["image", "text"])
sys.exit(seen != wanted)
PY
"$folder/env/bin/python" "$folder/run.py"
