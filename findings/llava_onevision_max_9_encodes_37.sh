#!/usr/bin/env bash
# transformers 5.24.0, LLaVA-OneVision at its defaults: `vision_aspect_ratio` "anyres_max_9".
#
# Guess: at most nine crops beside the whole picture, in the encoder as in the language model.
# What happens: nine is what the *tokens* are shrunk to, after all crops have been through the encoder. The grid
#   is chosen among all of up to 6 x 6: 1152 x 1152 is 10 crops (the whole one included) and 7,371 tokens,
#   2304 x 2304 is 37 crops and 7,371 tokens. 2000 x 1500 costs two and a half times the encoder's work of
#   1000 x 1000 and gives fewer tokens.
# Who is hurt: whoever reads cost or latency off the count of tokens: past nine crops only the encoder's part
#   grows, to nearly four times; servers that plan memory by tokens.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet transformers==5.24.0 numpy==2.3.5 pillow==12.0.0
cat > "$folder/run.py" <<'PY'
import sys
from types import SimpleNamespace

from PIL import Image
from transformers import __version__
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
    LlavaOnevisionImageProcessorPil,
)
from transformers.models.llava_onevision.processing_llava_onevision import LlavaOnevisionProcessor

images = LlavaOnevisionImageProcessorPil()
# The processor's own arithmetic at its defaults; the class itself wants a tokenizer, which has no part in it.
processor = SimpleNamespace(
    num_image_tokens=729, vision_aspect_ratio="anyres_max_9", vision_feature_select_strategy="full",
    image_processor=images,
)
processor._get_unpadded_features = lambda *sizes: LlavaOnevisionProcessor._get_unpadded_features(
    processor, *sizes
)
seen = {}
for width, height in ((768, 768), (1000, 1000), (1152, 1152), (2000, 1500), (2304, 2304)):
    crops = images([Image.new("RGB", (width, height))], return_tensors="np")["pixel_values"].shape[1]
    tokens = LlavaOnevisionProcessor._get_number_of_features(processor, height, width, 384, 384)
    seen[width] = crops, tokens
    print(f"transformers {__version__}: {width} x {height}: {crops} crops are encoded, {tokens} tokens reach "
          "the language model")
sys.exit(
    seen != {768: (5, 3699), 1000: (10, 7371), 1152: (10, 7371), 2000: (25, 7309), 2304: (37, 7371)}
)
PY
"$folder/env/bin/python" "$folder/run.py"
