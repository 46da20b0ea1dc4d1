#!/usr/bin/env bash
# axolotl 0.19.0 with the configurations and processors of transformers 5.24.0: `image_size` left out, which says
# of itself that pictures are not resized then, unless the processor has a size.
#
# Guess: the model's own processor sees the pictures of the data set, and tiles them.
# What happens: `image_size` is taken from the *vision encoder*, and each picture of an `images` column is brought
#   to one crop of it before the processor sees it: padded to 384 x 384 with black for LLaVA-OneVision, to
#   336 x 336 for GLM-4V, squashed into 448 x 448 for InternVL. A page of 2000 x 1500, which OneVision's processor
#   cuts into 25 crops and InternVL's into 13, is trained on as two and as one.
# Who is hurt: fine-tuning on documents, charts and screenshots: the print is gone, while evaluation elsewhere
#   tiles in full. Qwen's families have no such field and are as they were.
# The functions that count here, out of files that import all of the framework.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet transformers==5.24.0 numpy==2.3.5 pillow==12.0.0 addict==2.4.0
"$folder/env/bin/pip" install --quiet --no-deps axolotl==0.19.0
cat > "$folder/run.py" <<'PY'
import ast
import logging
import sys
from copy import deepcopy
from importlib import import_module
from importlib.metadata import distribution, version
from pathlib import Path

from addict import Dict
from PIL import Image, ImageOps
from transformers import CONFIG_MAPPING
from transformers.image_utils import load_image


def parts(file: str, names: set, given: dict) -> dict:
    path = Path(distribution("axolotl").locate_file(f"axolotl/{file}"))
    body = [part for part in ast.parse(path.read_text()).body if getattr(part, "name", None) in names]
    for part in body:
        if part.name == "ProcessingStrategy":  # what places the pictures, without what masks tokens
            part.body = [method for method in part.body if getattr(method, "name", None) in
                         ("__call__", "_get_messages_field", "_is_legacy_schema")]
    made = dict(given)
    exec(compile(ast.Module(body, []), str(path), "exec"), made)
    return made


made = parts("utils/dict.py", {"DictDefault", "remove_none_values"}, {"Dict": Dict})
made |= {"PretrainedConfig": object, "LOG": logging.getLogger(), "get_linear_embedding_layers": lambda kind: [],
         "deepcopy": deepcopy, "Image": Image, "ImageOps": ImageOps, "load_image": load_image}
check = parts("loaders/utils.py", {"check_model_config"}, made)["check_model_config"]
Strategy = parts("processing_strategies.py", {"ProcessingStrategy"}, made)["ProcessingStrategy"]

PAGE = Image.new("RGB", (2000, 1500), "white")
PROCESSORS = {
    "llava_onevision": ("llava_onevision", "LlavaOnevisionImageProcessorPil", {}),
    "internvl": ("got_ocr2", "GotOcr2ImageProcessorPil",
                 {"crop_to_patches": True, "size": {"height": 448, "width": 448}}),
    "glm4v": ("glm4v", "Glm4vImageProcessorPil", {}),
    "qwen2_vl": ("qwen2_vl", "Qwen2VLImageProcessorPil", {}),
}
seen = {}
for family, (module, name, settings) in PROCESSORS.items():
    config = made["DictDefault"](is_multimodal=True)
    check(config, CONFIG_MAPPING[family]())
    strategy = Strategy()
    strategy.image_size, strategy.field_messages = config.image_size, ["messages"]
    strategy.image_resize_algorithm = Image.Resampling.BILINEAR
    sample = {"messages": [{"role": "user", "content": "Read this."}], "images": [PAGE]}
    content = strategy([sample])[0]["messages"][0]["content"]
    handed = next(part["image"] for part in content if part["type"] == "image")
    module = import_module(f"transformers.models.{module}.image_processing_pil_{module}")
    processor = getattr(module, name)(**settings)
    counts = []
    for picture in (PAGE, handed):
        pixels = processor([picture], return_tensors="np")["pixel_values"]
        counts.append(pixels.shape[1] if pixels.ndim == 5 else pixels.shape[0])
    unit = "patches" if pixels.ndim == 2 else "crops"
    seen[family] = config.image_size, handed.size, *counts
    print(f"axolotl {version('axolotl')}: {family}: image_size becomes {config.image_size}; 2000 x 1500 is "
          f"handed on as {handed.size[0]} x {handed.size[1]}: {counts[1]} {unit} in place of {counts[0]}")
sys.exit(
    seen
    != {
        "llava_onevision": (384, (384, 384), 25, 2),
        "internvl": ((448, 448), (448, 448), 13, 1),
        "glm4v": (336, (336, 336), 15336, 576),
        "qwen2_vl": (None, (2000, 1500), 4920, 4920),
    }
)
PY
"$folder/env/bin/python" "$folder/run.py"
