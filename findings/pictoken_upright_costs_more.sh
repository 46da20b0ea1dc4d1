#!/usr/bin/env bash
# pictoken 0.1.0: the tokens of a picture for GPT-4o.
#
# Guess: a picture costs the same upright as lying on its side: the vendor's rule brings the shorter side to
#   768 pixels and counts tiles of 512.
# What happens: for an upright picture the width is set to 768 first, and the height is then scaled by 768
#   over the new width, which is 1. Only the width shrinks: 1024 x 2048 is 8 tiles and 1,445 tokens, where
#   2048 x 1024 is 6 tiles and 1,105. At 1536 x 2048 it is 1,445 for 765.
# Who is hurt: budgets of scans, pages and screenshots of telephones, most of which stand upright.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet pictoken==0.1.0 pillow==12.0.0
cat > "$folder/run.py" <<'PY'
import sys
from importlib.metadata import version

from pictoken import Model, calculate_image_tokens_by_image_dimensions

seen = {}
for width, height in ((512, 512), (1024, 2048), (1536, 2048), (768, 2048)):
    seen[width, height] = tuple(
        calculate_image_tokens_by_image_dimensions(*size, Model.GPT_4O).total_tokens
        for size in ((height, width), (width, height))
    )
    print(f"pictoken {version('pictoken')}: {height} x {width}: {seen[width, height][0]} tokens, "
          f"{width} x {height}: {seen[width, height][1]}")
sys.exit([*seen.values()] != [(255, 255), (1105, 1445), (765, 1445), (1445, 1445)])
PY
"$folder/env/bin/python" "$folder/run.py"
