#!/usr/bin/env bash
# mistral-common 1.13.1 (with opencv 5.0.0.93): `detail` of a picture in a message.
#
# Guess: "low" makes a picture cheaper, as where the field comes from; the class calls it a hint for the
#   processing of the picture.
# What happens: it is kept in the message and read by nothing. 2000 x 1500 is 3,120 tokens with "low", with
#   "high", with none of them, and with any other word.
# Who is hurt: programs that were written for the other service and save with "low", 85 tokens there: 37 times
#   as many here, and no word of it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet mistral-common==1.13.1 numpy==2.3.5 pillow==12.0.0 \
  opencv-python-headless==5.0.0.93
cat > "$folder/run.py" <<'PY'
import base64
import io
import sys
from importlib.metadata import version

from mistral_common.protocol.instruct.chunk import ImageURL, ImageURLChunk
from mistral_common.tokens.tokenizers.image import ImageConfig, ImageEncoder, SpecialImageIDs
from PIL import Image

file = io.BytesIO()
Image.new("RGB", (2000, 1500)).save(file, "png")
url = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
encoder = ImageEncoder(ImageConfig(16, 1024, 1), SpecialImageIDs(img=10, img_break=12, img_end=13))
seen = {}
for detail in (None, "low", "high", "thumbnail"):
    seen[detail] = len(encoder(ImageURLChunk(image_url=ImageURL(url=url, detail=detail))).tokens)
    print(f"mistral-common {version('mistral-common')}: detail={detail!r}: {seen[detail]} tokens")
sys.exit({*seen.values()} != {3120})
PY
"$folder/env/bin/python" "$folder/run.py"
