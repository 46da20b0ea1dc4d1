#!/usr/bin/env bash
# transformers 5.24.0: `get_number_of_image_patches`, which says ahead of the pixels how many patches a
# picture will have (servers plan placeholders with it), beside what the same processor then makes.
#
# Guess: with the same settings the two agree.
# What happens: they agree with `max_pixels`, which is deprecated. `size`, which the warning asks for
#   instead, is read by the processor and not by the plan in Qwen2-VL, PaddleOCR-VL, VideoLLaMA 3,
#   ERNIE 4.5-VL, Hunyuan-VL and InternVL: 640 x 480 is planned as 1,564 patches and made as 192. GLM-4V's
#   plan follows. `do_resize=False` is not read either: Idefics3 plans 13 crops and makes 5. At the
#   defaults all agree but DeepSeek-OCR 2, whose plan cuts small pictures, too: 7 views, one is made.
# Who is hurt: budgets, batch plans and servers where the resolution is lowered by `size`: the plan is up
#   to eight times too high, and placeholders made from it do not fit the pixels.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet transformers==5.24.0 numpy==2.3.5 pillow==12.0.0
cat > "$folder/run.py" <<'PY'
import sys
from importlib import import_module

import numpy as np
import transformers
from PIL import Image

PIXELS = {"size": {"shortest_edge": 28 * 28 * 10, "longest_edge": 28 * 28 * 50}}
CASES = {
    ("qwen2_vl", "Qwen2VL", "max_pixels"): {"min_pixels": 7_840, "max_pixels": 39_200},
    ("qwen2_vl", "Qwen2VL", "size"): PIXELS,
    ("paddleocr_vl", "PaddleOCRVL", "size"): PIXELS,
    ("video_llama_3", "VideoLlama3", "size"): PIXELS,
    ("ernie4_5_vl_moe", "Ernie4_5_VLMoe", "size"): PIXELS,
    ("hunyuan_vl", "HunYuanVL", "size"): PIXELS,
    ("glm4v", "Glm4v", "size"): PIXELS,
    ("got_ocr2", "GotOcr2", "size"): {"crop_to_patches": True, "size": {"height": 128, "width": 128}},
    ("idefics3", "Idefics3", "do_resize"): {"do_resize": False},
    ("deepseek_ocr2", "DeepseekOcr2", "defaults"): {},
}


def counts(module: str, kind: str, settings: dict, width: int, height: int) -> tuple[int, int]:
    """Patches (or crops) as planned and as made."""
    found = import_module(f"transformers.models.{module}.image_processing_pil_{module}")
    processor = getattr(found, f"{kind}ImageProcessorPil")()
    planned = processor.get_number_of_image_patches(height, width, dict(settings))
    if isinstance(planned, tuple):  # Idefics3: crops, rows, columns; Hunyuan-VL: rows, columns
        planned = planned[0] if len(planned) == 3 else planned[0] * planned[1]
    made = processor([Image.new("RGB", (width, height))], return_tensors="np", **settings)
    if "image_grid_thw" in made:
        return int(planned), int(np.prod(made["image_grid_thw"][0]))
    if module == "idefics3":
        return planned, len(made["pixel_values"][0])
    return planned, len(made["pixel_values"]) + len(made.get("pixel_values_local", ()))


print(f"transformers {transformers.__version__}")
seen = {}
for (module, kind, setting), settings in CASES.items():
    side = (336, 336) if module == "got_ocr2" else (640, 480)
    seen[kind, setting] = counts(module, kind, settings, *side)
    planned, made = seen[kind, setting]
    print(f"{kind}, {side[0]} x {side[1]}, {setting}: planned {planned}, made {made}")
sys.exit([*seen.values()] != [(192, 192), (1564, 192), (1564, 192), (1564, 192), (1564, 192),
                              (1200, 140), (80, 80), (1, 10), (13, 5), (7, 1)])
PY
"$folder/env/bin/python" -W ignore::FutureWarning "$folder/run.py"
