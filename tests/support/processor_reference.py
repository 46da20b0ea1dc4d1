"""`real_processors` from a test: questions in, answers out, in one process for all of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

Question = tuple[str, Mapping[str, object], Sequence[tuple[int, int]]]
"""Name of a processor, settings beside the published ones, (height, width) of images."""
Answer = list[int] | str
"""`[vision_tokens, marks, images, rows, cols]`, or the reason of the refusal."""

_FOLDER = Path(__file__).parent


def ask(questions: Iterable[Question]) -> list[list[Answer]]:
    """What the library's own processors make of the images: a list for every question."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(_FOLDER / "torchvision_shapes"),
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    asked = subprocess.run(
        [sys.executable, "-P", str(_FOLDER / "real_processors.py")],
        input=json.dumps(
            [[name, dict(settings), list(sizes)] for name, settings, sizes in questions]
        ),
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert asked.returncode == 0, asked.stderr[-4000:]
    answers: list[list[Answer]] = json.loads(asked.stdout)
    return answers
