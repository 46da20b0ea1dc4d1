#!/usr/bin/env bash
# genai-perf 0.0.16 (NVIDIA's tool for load on model servers), synthetic pictures of `--image-width-mean` and
# `--image-height-mean`.
#
# Guess: a load of a thousand requests is a thousand different pictures, as its prompts are a thousand different texts.
# What happens: the package has four pictures, one of which is drawn and squeezed to the size that was asked for, and
#   a deviation of the size is 0 unless it is given: there are four different files, however many requests. (Its
#   successor, aiperf 0.13.0, sends noise instead, and says that it is for that reason.)
# Who is hurt: figures of servers that keep what they have seen, which vLLM and SGLang do for pictures and for the
#   beginnings of prompts: the encoder works four times, and throughput and time to the first token are those of the
#   cache; the more so the more tokens a picture has, so that resolution seems to cost next to nothing.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet numpy==2.3.5 pillow==12.0.0 orjson==3.13.0 pyyaml==6.0.4 \
  rich==15.0.0 soundfile==0.14.0
"$folder/env/bin/pip" install --quiet --no-deps genai-perf==0.0.16
cat > "$folder/run.py" <<'PY'
import random
import sys
from importlib.metadata import version

from genai_perf.inputs.input_constants import ImageFormat
from genai_perf.inputs.retrievers.synthetic_image_generator import SyntheticImageGenerator

random.seed(0)
seen = {}
for deviation in (0, 20):
    pictures = [
        SyntheticImageGenerator.create_synthetic_image(512, deviation, 512, deviation, ImageFormat.PNG)
        for _ in range(100)
    ]
    seen[deviation] = len(set(pictures))
    print(f"genai-perf {version('genai-perf')}: 100 pictures of 512 x 512, deviation {deviation}: {seen[deviation]} "
          "are different")
sys.exit(seen[0] != 4 or seen[20] < 90)
PY
"$folder/env/bin/python" "$folder/run.py"
