#!/usr/bin/env bash
# qwen-vl-utils 0.0.14, films: `total_pixels`, which is to hold the tokens of a whole film.
#
# Guess: a film of any length stays within it: what is left for a frame gets smaller as there are more of them.
# What happens: no pair of frames gets less than `min_pixels`, 128 tokens by itself, whatever the limit says, and
#   small frames are blown up to that. With a limit of 4,096 tokens a film of 320 x 180 is 4,096 tokens at 64 frames,
#   8,192 at 128 and 32,768 at 512, eight times the limit. Nothing is said. With a `min_pixels` of 4 tokens the limit
#   holds.
# Who is hurt: long films and small models: prompts that do not fit or are cut off, and costs; comparisons of films at
#   "equal tokens" by this setting, of which only the short ones are.
# Nothing of torchvision is needed but to bring frames to the size that the package asks for.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.13.0 numpy==2.3.5 pillow==12.0.0 requests==2.34.2 packaging==26.3
"$folder/env/bin/pip" install --quiet --no-deps qwen-vl-utils==0.0.14
cat > "$folder/run.py" <<'PY'
import sys
from importlib.metadata import version
from unittest.mock import MagicMock

import torch
from PIL import Image

for name in ("torchvision", "torchvision.transforms"):
    sys.modules[name] = MagicMock()
sys.modules["torchvision"].transforms.functional.resize = lambda film, size, **_: film[..., :1, :1].expand(
    *film.shape[:2], *size
)
from qwen_vl_utils.vision_process import fetch_video  # noqa: E402

TOKEN, LIMIT = 28 * 28, 4096


def tokens(frames: int, **options: int) -> int:
    """Two frames are seen together."""
    film = {"video": [Image.new("RGB", (320, 180))] * frames, "total_pixels": LIMIT * TOKEN, **options}
    shown: torch.Tensor = fetch_video(film)
    return shown.shape[0] // 2 * shown.shape[2] * shown.shape[3] // TOKEN


seen = {}
for options in ({}, {"min_pixels": 4 * TOKEN}):
    for frames in (64, 128, 512):
        seen[len(options), frames] = tokens(frames, **options)
        print(f"qwen-vl-utils {version('qwen-vl-utils')}: {frames} frames of 320 x 180, total_pixels of {LIMIT} tokens"
              f"{', min_pixels of 4' if options else ''}: {seen[len(options), frames]} tokens")
sys.exit([*seen.values()] != [4096, 8192, 32768, 2304, 3520, 2560])
PY
"$folder/env/bin/python" "$folder/run.py"
