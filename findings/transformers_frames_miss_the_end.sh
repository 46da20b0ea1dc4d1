#!/usr/bin/env bash
# transformers 5.24.0 (its video processors) and qwen-vl-utils 0.0.14: which frames of a film are seen with
# `num_frames` (`nframes`) of 4.
#
# Guess: four frames that are spread over the film, and the same four for one model, whoever reads the file.
# What happens: four meanings of evenly. The default (LLaVA-OneVision, Video-LLaVA and others), Qwen2-VL and Qwen2.5-VL
#   take the beginning of each quarter, so that of 100 frames nothing behind the 76th is seen, with two nothing of
#   the second half but its first; InternVL takes the middle of each, Qwen3-VL and SmolVLM both ends. The package that
#   comes with Qwen2.5-VL takes both ends, too: 0, 33, 66, 99 where the library's processor takes 0, 25, 50, 75.
# Who is hurt: budgets of tokens by frames: the fewer there are, the more of the end is missing, which looks like a
#   model that cannot tell how a film ends; families at "equal frames"; a server beside a notebook.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet transformers==5.24.0 torch==2.13.0 numpy==2.3.5 pillow==12.0.0 \
  requests==2.34.2 packaging==26.3
"$folder/env/bin/pip" install --quiet --no-deps qwen-vl-utils==0.0.14
cat > "$folder/run.py" <<'PY'
import ast
import math
import sys
from importlib.metadata import distribution, version
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import torch
from transformers.video_utils import VideoMetadata, default_sample_indices_fn

FILM, RATE = 100, 25.0


class Reader:
    """A decoder that has a film of that many frames, and shows the numbers of those that are asked for."""

    def __init__(self, _: str) -> None:
        pass

    def __len__(self) -> int:
        return FILM

    def get_avg_fps(self) -> float:
        return RATE

    def get_batch(self, numbers: list[int]) -> SimpleNamespace:
        return SimpleNamespace(asnumpy=lambda: np.array(numbers)[:, None, None, None])


for name in ("torchvision", "torchvision.transforms"):
    sys.modules[name] = MagicMock()
sys.modules["decord"] = SimpleNamespace(VideoReader=Reader)
from qwen_vl_utils.vision_process import VIDEO_READER_BACKENDS  # noqa: E402


def of_family(name: str):
    """The method alone: the class asks for torchvision."""
    path = distribution("transformers").locate_file(f"transformers/models/{name}/video_processing_{name}.py")
    parts = ast.walk(ast.parse(Path(path).read_text()))
    method = next(part for part in parts if getattr(part, "name", "") == "sample_frames")
    theirs = {"math": math, "np": np, "torch": torch, "VideoMetadata": VideoMetadata}
    exec(compile(ast.Module([method], []), str(path), "exec"), theirs)
    told = SimpleNamespace(num_frames=None, fps=None, temporal_patch_size=2, min_frames=1, max_frames=768,
                           initial_shift=True)

    def chosen(count: int) -> list[int]:
        film = VideoMetadata(total_num_frames=FILM, fps=RATE, duration=FILM / RATE)
        more = {"fps": 2.0, "skip_secs": 0} if name == "smolvlm" else {}
        return theirs["sample_frames"](told, film, num_frames=count, **more).tolist()

    return chosen


def default(count: int) -> list[int]:
    return default_sample_indices_fn(VideoMetadata(total_num_frames=FILM, fps=RATE), num_frames=count).tolist()


def package(count: int) -> list[int]:
    film, _, _ = VIDEO_READER_BACKENDS["decord"]({"video": "any", "nframes": count})
    return film.flatten().tolist()


WHO = {f"transformers {version('transformers')}, default": default}
WHO |= {f"transformers {version('transformers')}, {name}": of_family(name)
        for name in ("qwen2_vl", "internvl", "qwen3_vl", "smolvlm")}
WHO |= {f"qwen-vl-utils {version('qwen-vl-utils')}": package}
seen = {}
for who, chosen in WHO.items():
    seen[who] = chosen(4), chosen(2)
    print(f"{who}: of {FILM} frames four are {seen[who][0]}, two are {seen[who][1]}")
beginnings, middles, ends = ([0, 25, 50, 75], [0, 50]), ([12, 37, 62, 87], [25, 75]), ([0, 33, 66, 99], [0, 99])
sys.exit([*seen.values()] != [beginnings, beginnings, middles, ends, ends, ends])
PY
"$folder/env/bin/python" "$folder/run.py"
