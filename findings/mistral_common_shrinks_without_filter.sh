#!/usr/bin/env bash
# mistral-common 1.13.1 (with opencv 5.0.0.93) and transformers 5.24.0: the pixels of one Pixtral picture.
#
# Guess: the maker's own package and the library's processor give the encoder the same pixels, up to rounding:
#   both shrink with a cubic filter.
# What happens: the one calls OpenCV's cubic, which looks at 4 x 4 pixels whatever the factor, the other Pillow's,
#   which averages all that fall into a pixel. Fine lines, 5 pixels apart, on a scan of 4000 x 3000 shrunk to
#   1024 x 768: grey in one (a spread of 3 levels), a false pattern of black and white in the other (92).
# Who is hurt: small print, charts and screens that are shrunk: accuracy measured with the library is not that of a
#   server that uses the maker's package, or the other way round. A picture that is shrunk before agrees.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet transformers==5.24.0 mistral-common==1.13.1 numpy==2.3.5 pillow==12.0.0 \
  opencv-python-headless==5.0.0.93
cat > "$folder/run.py" <<'PY'
import sys
from importlib.metadata import version

import numpy as np
from mistral_common.protocol.instruct.chunk import ImageChunk
from mistral_common.tokens.tokenizers.image import ImageConfig, ImageEncoder, SpecialImageIDs
from PIL import Image
from transformers.models.pixtral.image_processing_pil_pixtral import PixtralImageProcessorPil

SPREAD = 255 * 0.26862954  # the first channel's share of the normalisation, back to levels
encoder = ImageEncoder(ImageConfig(16, 1024, 1), SpecialImageIDs(img=10, img_break=12, img_end=13))
processor = PixtralImageProcessorPil(size={"longest_edge": 1024}, patch_size={"height": 16, "width": 16})
lines = np.full((3000, 4000, 3), 255, np.uint8)
lines[:, ::5] = 0
scan = Image.fromarray(lines)
seen = {}
for name, picture in (("as scanned", scan), ("shrunk before", scan.resize((1024, 768), Image.Resampling.BICUBIC))):
    theirs = np.asarray(encoder(ImageChunk(image=picture)).image)
    ours = processor([picture], return_tensors="np")["pixel_values"][0]
    assert theirs.shape == ours.shape == (3, 768, 1024)
    seen[name] = tuple(round(float(pixels[0].std()) * SPREAD) for pixels in (theirs, ours))
    print(f"lines 5 pixels apart, {name}: spread of levels {seen[name][0]} in mistral-common "
          f"{version('mistral-common')}, {seen[name][1]} in transformers {version('transformers')}")
sys.exit(seen != {"as scanned": (92, 3), "shrunk before": (3, 3)})
PY
"$folder/env/bin/python" "$folder/run.py"
