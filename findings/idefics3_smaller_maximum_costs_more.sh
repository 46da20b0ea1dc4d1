#!/usr/bin/env bash
# transformers 5.24.0, the image processors of Idefics3 and SmolVLM: `max_image_size`.
#
# Guess: a smaller maximum makes pictures smaller, and cheaper.
# What happens: `max_image_size` is the side of a crop; the picture is scaled to `size` (1,456) all the
#   same. Half of it makes four times as many crops: a 640 x 480 picture is 13 crops at the default 364,
#   49 at 182, and each crop still costs the 169 tokens that the processor writes for a crop of 364.
#   `size` is the setting that makes pictures cheaper.
# Who is hurt: whoever turns the knob with the name of a limit to save tokens: 8,281 in place of 2,197.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet transformers==5.24.0 numpy==2.3.5 pillow==12.0.0
cat > "$folder/run.py" <<'PY'
import inspect
import sys

import transformers
from PIL import Image
from transformers import Idefics3Processor
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

tokens = inspect.signature(Idefics3Processor.__init__).parameters["image_seq_len"].default
seen = []
for kind in (Idefics3ImageProcessorPil, SmolVLMImageProcessorPil):
    for settings in ({}, {"max_image_size": {"longest_edge": 182}}, {"size": {"longest_edge": 728}}):
        made = kind()([Image.new("RGB", (640, 480))], return_tensors="np", **settings)["pixel_values"][0]
        seen.append((len(made), made.shape[-1]))
        print(f"transformers {transformers.__version__}: {kind.__name__}, 640 x 480, "
              f"{settings or 'defaults'}: {len(made)} crops of {made.shape[-1]} pixels, "
              f"{tokens * len(made)} tokens of Idefics3's processor")
sys.exit(tokens != 169 or seen != [(13, 364), (49, 182), (5, 364)] * 2)
PY
"$folder/env/bin/python" "$folder/run.py"
