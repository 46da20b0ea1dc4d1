#!/usr/bin/env bash
# lmdeploy 0.18.0, InternVL behind its OpenAI-compatible address: `detail` of a picture in a message.
#
# Guess: as where the field comes from: "low" is one small view of the picture, "high" what the model can see, "auto"
#   something between.
# What happens: "low" is up to 6 crops and the whole picture: a photo of 1600 x 1200 is 7 crops, 1,792 tokens, where
#   one view is 256. "high" is up to 24, twice the 12 that the checkpoint allows and was trained on: 2000 x 2000 is 17
#   crops, 4,352 tokens, for 10. "auto", and nothing, are the checkpoint's 12: 13 crops and 10. The service that the
#   field is from takes 85 tokens for "low" and 765 for "high". `max_dynamic_patch` of 1 is one view.
# Who is hurt: programs that were written for the other service: those that save with "low" pay twenty times as
#   much as there, and those that ask for "high" show the model grids that it has never seen.
# The functions that count here, out of a file that imports all of the server.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet pillow==12.0.0
"$folder/env/bin/pip" download --quiet --no-deps --dest "$folder" --only-binary :all: --python-version 3.12 \
  --platform manylinux_2_28_x86_64 lmdeploy==0.18.0
cat > "$folder/run.py" <<'PY'
import ast
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

from PIL import Image

(wheel,) = Path(sys.argv[1]).glob("lmdeploy-*.whl")
tree = ast.parse(zipfile.ZipFile(wheel).read("lmdeploy/vl/model/internvl.py").decode())
wanted = {"find_closest_aspect_ratio", "dynamic_preprocess", "_preprocess_v1_5"}
tree.body = [part for part in ast.walk(tree) if getattr(part, "name", "") in wanted]
theirs = {"torch": SimpleNamespace(stack=list)}
exec(compile(tree, "internvl.py", "exec"), theirs)
# What InternVL's checkpoints set; a crop of 448 x 448 is 256 tokens.
model = SimpleNamespace(
    transform=lambda crop: crop, vision_config=SimpleNamespace(image_size=448),
    config=SimpleNamespace(min_dynamic_patch=1, max_dynamic_patch=12, use_thumbnail=True),
)
seen = {}
for options in ({"detail": "low"}, {"detail": "auto"}, {}, {"detail": "high"}, {"max_dynamic_patch": 1}):
    for size in ((1600, 1200), (2000, 2000)):
        crops = seen[str(options), size] = len(theirs["_preprocess_v1_5"](model, Image.new("RGB", size), options))
        print(f"{'-'.join(wheel.name.split('-')[:2])}: {size[0]} x {size[1]}, {options or 'nothing'}: {crops} crops, "
              f"{crops * 256} tokens")
sys.exit([*seen.values()] != [7, 5, 13, 10, 13, 10, 13, 17, 1, 1])
PY
"$folder/env/bin/python" "$folder/run.py" "$folder"
