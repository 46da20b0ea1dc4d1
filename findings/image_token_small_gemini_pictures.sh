#!/usr/bin/env bash
# image-token 0.1.6: the tokens of a picture for Gemini 2.0.
#
# Guess: the vendor's rule, which the function's own notes have: 258 tokens where no side is above 384 pixels,
#   and 258 for each tile of what is larger.
# What happens: small pictures are cut into tiles as well, one is added for the whole picture, and the 258 come on
#   top. A thumbnail of 100 x 100 is 774, 384 x 384 is 1,548: six times the rule, and more than 1024 x 1024,
#   which is 1,290. One pixel more a side makes it cheaper.
# Who is hurt: budgets of icons, thumbnails and crops; whoever sends larger pictures because they are "cheaper".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet image-token==0.1.6 pillow==11.3.0
cat > "$folder/run.py" <<'PY'
import sys
from importlib.metadata import version
from pathlib import Path

from image_token import get_token
from PIL import Image

seen = {}
for side in (100, 384, 385, 1024):
    path = Path(sys.argv[1], f"{side}.png")
    Image.new("RGB", (side, side)).save(path)
    seen[side] = get_token("gemini-2.0-flash", str(path))
    print(f"image-token {version('image-token')}: {side} x {side} for Gemini 2.0: {seen[side]} tokens")
sys.exit(seen != {100: 774, 384: 1548, 385: 1290, 1024: 1290})
PY
(cd "$folder" && HOME="$folder" "$folder/env/bin/python" "$folder/run.py" "$folder")
