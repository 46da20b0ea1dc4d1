#!/usr/bin/env bash
# qwen-vl-utils 0.0.14: a film that is given as a list of frames.
#
# Guess: a frame is brought to the size that a film's file is brought to, and a picture: the nearest multiple of 28
#   pixels a side (32 for Qwen3-VL), so that its shape is kept within some per cent.
# What happens: what is handed on as the side of a patch is the side of a token, so every frame is first brought to
#   multiples of 56 (64), with another filter, and then looked at again. 640 x 480 is 616 x 504 in place of 644 x 476,
#   1.22 times as wide as high in place of 1.33; 320 x 240 is 336 x 224, 1.5 times; 100 x 140 is 112 x 112, a square.
#   For Qwen3-VL 640 x 480, which needs no change at all, is 640 x 512.
# Who is hurt: films that are read with a decoder of one's own, which is what benchmarks do: frames are resampled
#   twice and distorted; small ones most. Tokens and boxes are not those of the same film as a file.
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
from qwen_vl_utils.vision_process import fetch_image, fetch_video  # noqa: E402


def as_frame(size: tuple[int, int], patch: int) -> tuple[int, int]:
    # Limits that leave the size alone: what is wanted here is how it is rounded.
    film = {"video": [Image.new("RGB", size)] * 4, "min_pixels": 1, "max_pixels": 600_000}
    shown = fetch_video(film, image_patch_size=patch)
    return shown.shape[3], shown.shape[2]


seen = []
for patch in (14, 16):
    for size in ((640, 480), (320, 240), (100, 140)):
        frame, picture = as_frame(size, patch), fetch_image({"image": Image.new("RGB", size)}, patch).size
        seen.append((frame, picture))
        print(f"qwen-vl-utils {version('qwen-vl-utils')}, patches of {patch}: {size[0]} x {size[1]} as a frame of a "
              f"list is {frame[0]} x {frame[1]}, as a picture {picture[0]} x {picture[1]}")
wanted = [((616, 504), (644, 476)), ((336, 224), (308, 252)), ((112, 112), (112, 140)),
          ((640, 512), (640, 480)), ((320, 256), (320, 256)), ((128, 128), (96, 128))]
sys.exit(seen != wanted)
PY
"$folder/env/bin/python" "$folder/run.py"
